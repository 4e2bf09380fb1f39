/** `leat pause` and `leat resume`: no delivery to a sink starts until a person says so. */
import type { Command } from "commander";
import { type AdminOptions, ask, withAdminOptions } from "./admin-client.ts";

export function pauseCommand(program: Command): void {
  withAdminOptions(program.command("pause"))
    .summary("start no delivery to a sink until it is resumed")
    .argument("<sink>", "its name in the configuration")
    .option("--reason <text>", "shown wherever the pause is")
    .addHelpText("after", '\nExample:\n  leat pause billing --reason "their database moves"')
    .action(async (sink: string, options: AdminOptions & { readonly reason?: string }) => {
      const body = options.reason === undefined ? {} : { reason: options.reason };
      await ask(options, pathOf(sink, "pause"), body, () => `${sink} is paused; its events wait.`);
    });
}

export function resumeCommand(program: Command): void {
  withAdminOptions(program.command("resume"))
    .summary("end a sink's pause, hold or open breaker")
    .description(
      "Ends a sink's pause (also one that a 410 caused), its hold and its open breaker: deliveries start at once.",
    )
    .argument("<sink>", "its name in the configuration")
    .addHelpText("after", "\nExample:\n  leat resume billing")
    .action(async (sink: string, options: AdminOptions) => {
      await ask(options, pathOf(sink, "resume"), {}, () => `${sink} is resumed.`);
    });
}

function pathOf(sink: string, order: "pause" | "resume"): string {
  return `/api/sinks/${encodeURIComponent(sink)}/${order}`;
}
