/** `leat run`: the daemon, until it is told to stop. */
import type { Command } from "commander";
import { type SettingOption, settingOptions } from "../config/settings.ts";
import { readConfiguration } from "./configuration.ts";
import { runDaemon } from "./lifetime.ts";

interface RunOptions {
  readonly config?: string[];
  readonly [setting: string]: unknown;
}

export function runCommand(program: Command): void {
  const command = program
    .command("run")
    .summary("run the daemon")
    .description(
      "Runs the daemon until SIGTERM or SIGINT. SIGHUP has it read its configuration anew.\n" +
        "Exit codes: 0 stopped, 1 runtime error, 2 configuration, 3 journal damaged, locked or newer, 4 storage error.",
    )
    .option("-c, --config <path...>", "files and folders (default: ./leat.yaml, then /etc/leat/leat.yaml)");
  for (const { argument, variable } of settingOptions) {
    command.option(`--${argument} <value>`, `over the file's and ${variable}`);
  }
  command
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  leat run --config leat.yaml\n" +
        "  leat run --config /etc/leat/conf.d --log-level debug\n" +
        "  LEAT_ADMIN_TOKEN=… leat run --admin 0.0.0.0:8081",
    )
    .action(async (options: RunOptions) => {
      const args = settingArguments(options);
      await runDaemon(() => readConfiguration(options.config ?? [], { args }));
    });
}

/** As the configuration reads them: `--log-level=debug`. */
function settingArguments(options: RunOptions): string[] {
  return settingOptions.flatMap(({ argument }: SettingOption) => {
    const value = options[argument.replace(/-(.)/g, (_dash, letter: string) => letter.toUpperCase())];
    return typeof value === "string" ? [`--${argument}=${value}`] : [];
  });
}
