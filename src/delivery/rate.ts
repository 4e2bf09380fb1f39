/** A token bucket on the monotonic clock. */
import type { Rate } from "../plan.ts";

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  /**
   * Lets through `rate.count` in any `rate.perMs`, and a burst beside it: a tenth of a second's worth, at least one.
   * A larger burst would let twice the rate through in the first period.
   */
  constructor(rate: Rate, now: number) {
    this.#perMs = rate.count / rate.perMs;
    this.#burst = Math.max(1, Math.floor(this.#perMs * 100));
    this.#tokens = this.#burst;
    this.#at = now;
  }

  /** How many may go now. */
  available(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
    // The sum of many small shares may miss a whole one by a rounding.
    return Math.floor(this.#tokens + 1e-9);
  }

  take(): void {
    this.#tokens -= 1;
  }

  /** What was taken was not used. */
  giveBack(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1);
  }

  /** Milliseconds until the next one. */
  waitMs(now: number): number {
    return this.available(now) > 0 ? 0 : Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMs));
  }
}
