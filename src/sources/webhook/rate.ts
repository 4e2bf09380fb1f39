/** A token bucket: `count` at once, refilled evenly over `perMs`. Runs on monotonic time. */
export class RateLimit {
  readonly #count: number;
  readonly #perMs: number;
  #tokens: number;
  #at = 0;

  constructor({ count, perMs }: { readonly count: number; readonly perMs: number }) {
    this.#count = count;
    this.#perMs = perMs;
    this.#tokens = count;
  }

  /** 0 when one more may pass; else how long until it might, in ms, and nothing is taken. */
  take(now: number): number {
    const refill = ((now - this.#at) * this.#count) / this.#perMs;
    this.#tokens = Math.min(this.#count, this.#tokens + refill);
    this.#at = now;
    if (this.#tokens >= 1) {
      this.#tokens--;
      return 0;
    }
    return ((1 - this.#tokens) * this.#perMs) / this.#count;
  }
}
