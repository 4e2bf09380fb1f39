/** `leat confirm-clock`: a person says that the daemon's clock is right after it stepped. */
import type { Command } from "commander";
import { type AdminOptions, ask, withAdminOptions } from "./admin-client.ts";

interface Confirmed {
  readonly time: string;
  readonly doubted: boolean;
}

export function confirmClockCommand(program: Command): void {
  withAdminOptions(program.command("confirm-clock"))
    .summary("say that the clock is right after a step")
    .description(
      "After the clock has stepped, also between two runs, nothing is deleted or expired by age for ten minutes, in case\n" +
        "it is wrong. This says that it is right: both go on at once. Look at the machine's time first (date -u).",
    )
    .addHelpText("after", "\nExample:\n  date -u && leat confirm-clock")
    .action(async (options: AdminOptions) => {
      await ask<Confirmed>(options, "/api/confirm-clock", {}, ({ time, doubted }) =>
        doubted
          ? `The clock is trusted from now on: ${time}.`
          : `The clock wasn't doubted; nothing has changed: ${time}.`,
      );
    });
}
