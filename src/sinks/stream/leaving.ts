/** How readers are sent away: spread over a window, so that they don't all come to the next one at once. */
import type { Chance, Clock } from "../../ports.ts";

/** Readers are told to come back after this, and up to as long again: they must not all come at once. */
const RETRY_MS = 1000;
const RETRY_SPREAD_MS = 2000;

/** One timer for all of them: those who are due together are sent away together. */
const STEP_MS = 10;

/** How long one who is sent away stays away, in ms. `leastMs`: as configured; null: ours. */
export function retryMs(chance: Chance, leastMs: number | null = null): number {
  const least = leastMs ?? RETRY_MS;
  const spread = leastMs ?? RETRY_SPREAD_MS;
  return Math.round(least + chance.random() * spread);
}

/**
 * Calls `each` for every item, evenly over `windowMs`, the first at once. Resolves after the last. `signal` aborts: the
 * rest is called at once.
 */
export function spread<T>(
  items: readonly T[],
  windowMs: number,
  clock: Clock,
  signal: AbortSignal,
  each: (item: T) => void,
): Promise<void> {
  const begun = clock.monotonic();
  let done = 0;
  return new Promise((resolve) => {
    let cancel = () => {};
    const step = () => {
      cancel();
      const passed = signal.aborted || windowMs <= 0 ? 1 : (clock.monotonic() - begun) / windowMs;
      const due = Math.min(items.length, Math.floor(passed * items.length) + 1);
      while (done < due) each(items[done++] as T);
      if (done < items.length) {
        cancel = clock.after(STEP_MS, step);
        return;
      }
      signal.removeEventListener("abort", step);
      resolve();
    };
    signal.addEventListener("abort", step);
    step();
  });
}
