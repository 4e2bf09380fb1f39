/** `leat replay`: delivers an event, or a subscription's dead letters, once more. */
import type { Command } from "commander";
import { LeatError } from "../errors.ts";
import { type AdminOptions, ask, withAdminOptions } from "./admin-client.ts";
import { fail } from "./exit.ts";

interface ReplayOptions extends AdminOptions {
  readonly to?: string;
  readonly dead?: string;
}

export function replayCommand(program: Command): void {
  withAdminOptions(program.command("replay"))
    .summary("deliver an event, or dead letters, once more")
    .description(
      "Delivers an event to one subscription once more, under the same id and marked as a replay.\n" +
        "With --dead: every dead letter of a subscription, or only that of the event named.",
    )
    .argument("[seq]", "the event's seq, as the log, the page and the API show it")
    .option("--to <subscription>", "the subscription (route/sink) to deliver it to")
    .option("--dead <subscription>", "replay the dead letters of this subscription")
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  leat replay 1795224065810042 --to payments/billing\n" +
        "  leat replay --dead payments/billing\n" +
        "  leat replay 1795224065810042 --dead payments/billing",
    )
    .action(async (seq: string | undefined, options: ReplayOptions) => {
      const body = requestFor(seq, options);
      if (body instanceof LeatError) return fail(body, options.json);
      await ask<{ replayed: number; subscription: string }>(
        options,
        "/api/replay",
        body,
        ({ replayed, subscription }) =>
          `${replayed} ${replayed === 1 ? "event is" : "events are"} on the way to ${subscription} again. ` +
          "Its route's match and where still decide: /api/events/<seq> shows the outcome.",
      );
    });
}

function requestFor(seq: string | undefined, { to, dead }: ReplayOptions): object | LeatError {
  const subscription = to ?? dead;
  if (subscription === undefined || (to !== undefined && dead !== undefined)) {
    return new LeatError("refused", "usage", "Name one subscription: with --to, or with --dead.", {
      hint: "leat replay --help shows examples.",
    });
  }
  if (seq === undefined) {
    if (dead !== undefined) return { dead: true, subscription };
    return new LeatError("refused", "usage", "Which event? Give its seq before --to.");
  }
  if (!/^\d+$/.test(seq) || !Number.isSafeInteger(Number(seq))) {
    return new LeatError("refused", "usage", `${seq} is no seq: it is a whole number.`);
  }
  return { seq: Number(seq), subscription, ...(dead === undefined ? {} : { dead: true }) };
}
