/** Orders to one sink: `leat pause`, `leat resume` (of deliveries), `leat revoke`, `leat restore` (of a stream's users). */
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

interface RevokeOptions extends AdminOptions {
  readonly channel?: string;
  readonly for?: string;
}

export function revokeCommand(program: Command): void {
  withAdminOptions(program.command("revoke"))
    .summary("take a stream, or one channel of it, from a user")
    .description(
      "Cuts the user's connections (or takes the one channel from them), and refuses its credentials that were issued before now.",
    )
    .argument("<stream>", "its name in the configuration")
    .argument("<user>", "as its token or the judge names it")
    .option("--channel <name>", "only this channel")
    .option("--for <duration>", "how long it is remembered: as long as a token lives (24h)")
    .addHelpText(
      "after",
      "\nExamples:\n  leat revoke browser 42\n  leat revoke browser 42 --channel room.7 --for 1h",
    )
    .action(async (stream: string, user: string, options: RevokeOptions) => {
      const { channel, for: duration } = options;
      const body = {
        user,
        ...(channel !== undefined && { channel }),
        ...(duration !== undefined && { for: duration }),
      };
      await ask(
        options,
        pathOf(stream, "revoke"),
        body,
        ({ connections }: { connections: number }) => `Revoked: ${connections} connections heard of it.`,
      );
    });
}

export function restoreCommand(program: Command): void {
  withAdminOptions(program.command("restore"))
    .summary("end what was revoked from a user")
    .argument("<stream>", "its name in the configuration")
    .argument("<user>", "as its token or the judge names it")
    .option("--channel <name>", "the channel that was revoked")
    .addHelpText("after", "\nExample:\n  leat restore browser 42 --channel room.7")
    .action(async (stream: string, user: string, options: RevokeOptions) => {
      const { channel } = options;
      const body = { user, ...(channel !== undefined && { channel }) };
      await ask(options, pathOf(stream, "restore"), body, ({ restored }: { restored: boolean }) =>
        restored ? "Restored." : "Nothing was revoked so.",
      );
    });
}

function pathOf(sink: string, order: "pause" | "resume" | "revoke" | "restore"): string {
  return `/api/sinks/${encodeURIComponent(sink)}/${order}`;
}
