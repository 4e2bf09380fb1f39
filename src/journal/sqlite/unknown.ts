/** What a person named and the journal hasn't got: one wording, whichever thread finds out. */
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";

export function unknownSubscription(name: string): LeatError {
  return new LeatError("refused", "unknown_subscription", `There is no subscription ${name}.`, {
    hint: "Subscriptions are named route/sink, or by the stream's name.",
  });
}

export function unknownEvent(seq: Seq): LeatError {
  return new LeatError("refused", "unknown_event", `Event ${seq} is not in the journal.`, {
    hint: "Retention may have removed it; dead letters keep theirs for retention.dead.",
  });
}
