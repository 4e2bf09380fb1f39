/** What the journal answers when it can't take something: codes that senders, logs and docs/errors.md share. */
import { LeatError } from "../../errors.ts";
import type { ClosedReason } from "./writer-messages.ts";

/** What senders are told to wait: a full disk takes a person, a full queue only a moment. */
export const RETRY_AFTER_FULL_MS = 10_000;
const RETRY_AFTER_BUSY_MS = 1_000;

export function fullError(reason: ClosedReason): LeatError {
  return new LeatError("unavailable", "journal_full", `The journal takes no events now (${reason}).`, {
    retryAfterMs: RETRY_AFTER_FULL_MS,
    hint:
      reason === "journal_bound"
        ? "The journal has reached retention.size with events that are not settled: see which subscription lags."
        : "Free space on the journal's disk; it goes on by itself.",
  });
}

export function busyError(): LeatError {
  return new LeatError("unavailable", "journal_busy", "Too much waits to be committed.", {
    retryAfterMs: RETRY_AFTER_BUSY_MS,
    hint: "The disk is slower than what comes in; limits.uncommitted bounds what may wait.",
  });
}

export function slowError(): LeatError {
  return new LeatError(
    "unavailable",
    "journal_slow",
    "The commit took too long; whether it happened is unknown.",
    {
      retryAfterMs: RETRY_AFTER_BUSY_MS,
      hint: "Send it again with the same id: it will not be kept twice.",
    },
  );
}

export function refusedError(message: string): LeatError {
  return new LeatError("refused", "event_refused", `The journal can't hold the event: ${message}`);
}

export function lostError(failure: "storage" | "internal", message: string): LeatError {
  return new LeatError(failure, "journal_lost", `The journal could not be written: ${message}`, {
    hint: "What was answered before is safe. Check the disk, then start Leat again.",
  });
}
