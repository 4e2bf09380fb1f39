/** The command line: every command, one line each. */
import { Command } from "commander";
import { version } from "../version.ts";
import { confirmClockCommand } from "./confirm-clock.ts";
import { fail, watchOutput } from "./exit.ts";
import { initCommand } from "./init.ts";
import { purgeCommand } from "./purge.ts";
import { quickstartCommand } from "./quickstart.ts";
import { reloadCommand } from "./reload.ts";
import { replayCommand } from "./replay.ts";
import { runCommand } from "./run.ts";
import { schemaCommand } from "./schema.ts";
import { sendCommand } from "./send.ts";
import { pauseCommand, restoreCommand, resumeCommand, revokeCommand } from "./sinks.ts";
import { validateCommand } from "./validate.ts";

const COMMANDS: readonly ((program: Command) => void)[] = [
  runCommand,
  quickstartCommand,
  validateCommand,
  initCommand,
  schemaCommand,
  sendCommand,
  replayCommand,
  purgeCommand,
  reloadCommand,
  pauseCommand,
  resumeCommand,
  revokeCommand,
  restoreCommand,
  confirmClockCommand,
];

export async function main(argv: readonly string[]): Promise<void> {
  watchOutput();
  const program = new Command("leat")
    .description("Leads events from where they happen to where they are needed.")
    .version(version, "-V, --version", "print the version")
    .showHelpAfterError("(leat --help, or leat <command> --help, shows what there is)");
  for (const register of COMMANDS) register(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    fail(error);
  }
}
