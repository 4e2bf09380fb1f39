/**
 * Whose turn a session is, within this process. A broker knows a session by its client id, and throws out who has it when
 * another connects by the same: a reload would have the old source and the new one throw each other out, and two sources
 * with one `client_id` would do so for ever. So the next one waits until the one before has let go.
 */
import type { Clock } from "../../ports.ts";
import { BrokerError } from "../supervise.ts";

/** A reload stops the old source soon after it started the new one, and appends that are under way end in that time. */
const PATIENCE_MS = 15_000;

export interface Turn {
  end(): void;
}

/** By session: resolves when the last in line has let go. */
const lines = new Map<string, Promise<void>>();

/** Rejects with a BrokerError where the session isn't let go of in time, and when `signal` aborts. */
export async function takeTurn(session: string, clock: Clock, signal: AbortSignal): Promise<Turn> {
  const before = lines.get(session) ?? Promise.resolve();
  const { promise, resolve: end } = Promise.withResolvers<void>();
  // Who gives up waiting leaves the line as it is for those behind.
  const last = Promise.all([before, promise]).then(() => {
    if (lines.get(session) === last) lines.delete(session);
  });
  lines.set(session, last);
  try {
    await within(PATIENCE_MS, before, clock, signal);
  } catch (error) {
    end();
    throw error;
  }
  return { end };
}

function within(ms: number, free: Promise<void>, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: BrokerError | null) => {
      cancel();
      signal.removeEventListener("abort", stopped);
      if (error === null) resolve();
      else reject(error);
    };
    const stopped = () => settle(new BrokerError("closed", "it is stopping"));
    const late = () => settle(taken());
    const cancel = clock.after(ms, late);
    signal.addEventListener("abort", stopped);
    if (signal.aborted) stopped();
    else free.then(() => settle(null), reject);
  });
}

function taken(): BrokerError {
  const message =
    "another source of this Leat has the same client_id at the same broker: give each its own, or leave it out";
  return new BrokerError("client_id", message, { calm: true });
}
