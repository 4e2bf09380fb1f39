/** The one reconnect loop, and when it tries again. */
import { type StatusNews, StreamError } from "./words.ts";

/** Why a connection ended, and what that asks of the client. */
export interface Ending {
  readonly reason: string;
  /** Nobody comes back from it. */
  readonly error?: StreamError;
  /** When the server wants it back, in ms. The server has spread these already. */
  readonly retryMs?: number | undefined;
}

export interface Backoff {
  /** ms: the first wait is a random part of it, and it doubles with each failure. */
  readonly initial: number;
  /** ms. */
  readonly max: number;
}

/** A connection that lasted so long was a good one: the next failure is the first again. */
const STEADY_MS = 5000;

/**
 * Full jitter: after a restart thousands come back at once, and any fixed part of the wait would keep them together.
 * `failures`: how often in a row it failed before.
 */
export function waitOf(ending: Ending, failures: number, backoff: Backoff, random: () => number): number {
  const spread = random() * Math.min(backoff.max, backoff.initial * 2 ** failures);
  if (ending.retryMs === undefined) return spread;
  return failures > 0 ? ending.retryMs + spread : ending.retryMs;
}

/**
 * One connection from its beginning to its end. It calls `tell` with `live` once it is up. To reject is to end by
 * `network`, or for good where it is with a StreamError, such as a program's `token` may throw.
 */
export type Dial = (tell: (news: StatusNews) => void) => Promise<Ending>;

/** A program's own StreamError is final; all else that is thrown passes. */
export function endingBy(error: unknown): Ending {
  return error instanceof StreamError ? { reason: error.code, error } : { reason: "network" };
}

/** Dials until `signal` aborts, then resolves with nothing; or with the error that ended it for good. */
export async function keepConnected(
  dial: Dial,
  backoff: Backoff,
  signal: AbortSignal,
  tell: (news: StatusNews) => void,
): Promise<StreamError | undefined> {
  let failures = 0;
  while (!signal.aborted) {
    let liveAt = Number.POSITIVE_INFINITY;
    tell({ status: "connecting" });
    const ending: Ending = await dial((news) => {
      if (signal.aborted) return;
      if (news.status === "live") liveAt = performance.now();
      tell(news);
    }).catch(endingBy);
    if (signal.aborted) return undefined;
    if (ending.error) return ending.error;
    if (performance.now() - liveAt > STEADY_MS) failures = 0;
    const retryMs = waitOf(ending, failures++, backoff, Math.random);
    tell({ status: "waiting", reason: ending.reason, retryMs });
    await pause(retryMs, signal);
  }
  return undefined;
}

/** Waits; the network's return in a browser ends it early, and so does `signal`. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // A page's window; Node has nothing of the kind.
    const page = globalThis as Partial<EventTarget>;
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      page.removeEventListener?.("online", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    page.addEventListener?.("online", done);
    if (signal.aborted) done();
  });
}

/** Calls `cut` once nothing was heard for `ms`: a connection whose other end is gone says nothing of it. */
export class Silence {
  ms: number;
  #last = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  /** Default: four heartbeats, as they usually are. */
  constructor(ms = 60_000, cut: () => void) {
    this.ms = ms;
    this.#timer = setInterval(() => {
      if (performance.now() - this.#last > this.ms) cut();
    }, 1000);
  }

  heard(): void {
    this.#last = performance.now();
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
