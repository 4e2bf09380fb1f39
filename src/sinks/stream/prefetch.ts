/**
 * A processor waits for memory most of the time that a broadcast takes: between two of its messages thousands of sockets
 * have driven each other out of its caches. Several waits at once take as long as one, so what lies in many places is
 * touched a few places ahead of what is done there.
 */

export interface Prefetched {
  /** Touches what will be needed of it; does nothing. */
  prefetch(): void;
}

/** So many fit into the nearest caches with what is done for each. */
const STRIDE = 16;

/** As `all.forEach(visit)`, in the same turn of the event loop. */
export function prefetching<T extends Prefetched>(
  all: readonly T[],
  visit: (one: T, nth: number) => void,
): void {
  for (let from = 0; from < all.length; from += STRIDE) {
    const to = Math.min(from + STRIDE, all.length);
    for (let nth = from; nth < to; nth++) (all[nth] as T).prefetch();
    for (let nth = from; nth < to; nth++) visit(all[nth] as T, nth);
  }
}
