/** Waits that an AbortSignal ends. */
import type { Clock } from "../ports.ts";

/** Resolves after `ms`, or once the signal aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = () => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener("abort", done);
  });
}

/** Resolves once the signal aborts. */
export function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Those that wait for something to come about: a connection, a place. */
export class Waiters {
  readonly #waiting = new Set<() => void>();

  /** Resolves when it is woken, or once the signal aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        signal.removeEventListener("abort", go);
        resolve();
      };
      this.#waiting.add(go);
      if (signal.aborted) go();
      else signal.addEventListener("abort", go);
    });
  }

  /** The one that has waited longest. */
  wakeOne(): void {
    const [first] = this.#waiting;
    first?.();
  }

  wakeAll(): void {
    for (const go of [...this.#waiting]) go();
  }
}

/** What `promise` yields, or null where the signal aborts before. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve(null);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
