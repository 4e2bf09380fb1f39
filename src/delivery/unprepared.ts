/** What can't be sent as it is: why an event is dead before any attempt, or has to wait for another time. */
import { LeatError } from "../errors.ts";
import { MAX_HOPS } from "../event.ts";
import type { Lease } from "../journal/journal.ts";
import type { Prepared } from "../prepared.ts";
import { withoutSecrets } from "../secrets.ts";

/** How long what can't be prepared now is left alone. */
export const PREPARE_AGAIN_MS = 1_000;

/** Whether a throw of `prepare` says nothing of the event: there is no thread for expressions, or Leat is stopping. */
export function isForNow(error: unknown): boolean {
  return error instanceof LeatError && error.kind === "unavailable";
}

/** A throw where none is allowed: the event is dead with it, and the loop goes on. */
export function defect(error: unknown): Prepared {
  return {
    result: "dead",
    error: "internal",
    expression: "",
    path: "",
    message: withoutSecrets(String(error)),
    cause: error ?? "nothing",
  };
}

/** An expression's failure as a dead letter shows it: what, where, why. */
export function unprepared(dead: Extract<Prepared, { result: "dead" }>): {
  readonly error: string;
  readonly message: string;
} {
  const where = [dead.path, dead.expression].filter((part) => part !== "").join(": ");
  return { error: dead.error, message: where === "" ? dead.message : `${where}: ${dead.message}` };
}

/** Two Leats that feed each other would do so for ever. */
export function tooManyHops({
  event: { hops },
}: Pick<Lease, "event">): { readonly error: string; readonly message: string } | null {
  if (hops <= MAX_HOPS) return null;
  return {
    error: "hops",
    message: `it has come through ${hops} Leats, more than ${MAX_HOPS}: is there a loop?`,
  };
}
