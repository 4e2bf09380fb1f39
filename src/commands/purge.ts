/** `leat purge`: gives up what a subscription still owes, or removes its dead letters. */
import type { Command } from "commander";
import { LeatError } from "../errors.ts";
import { type AdminOptions, ask, withAdminOptions } from "./admin-client.ts";
import { fail } from "./exit.ts";

interface PurgeOptions extends AdminOptions {
  readonly dead?: boolean;
  readonly yes?: boolean;
}

export function purgeCommand(program: Command): void {
  withAdminOptions(program.command("purge"))
    .summary("give up what a subscription owes")
    .description(
      "Gives up every event that a subscription still owes: none of them will be delivered. Meant for what a removed\n" +
        "route left behind. With --dead: removes its dead letters instead.",
    )
    .argument("<subscription>", "its name: route/sink")
    .option("--dead", "remove its dead letters instead")
    .option("--yes", "do it: without this nothing is purged")
    .addHelpText(
      "after",
      "\nExamples:\n  leat purge payments/billing --yes\n  leat purge payments/billing --dead --yes",
    )
    .action(async (subscription: string, options: PurgeOptions) => {
      const what = options.dead === true ? "dead" : "owed";
      if (options.yes !== true) {
        const lost = what === "dead" ? "removes its dead letters for good" : "gives up what it still owes";
        const error = new LeatError("refused", "not_confirmed", `Purging ${subscription} ${lost}.`, {
          hint: "Add --yes if that is what you want.",
        });
        return fail(error, options.json);
      }
      await ask<{ purged: number }>(options, "/api/purge", { subscription, what }, ({ purged }) =>
        what === "dead" ? `${purged} dead letters removed.` : `${purged} deliveries given up.`,
      );
    });
}
