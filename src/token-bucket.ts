/**
 * A token bucket on the monotonic clock: `rate.count` in any `rate.perMs`, and a burst beside it.
 *
 * Sources and sinks have a rate, and each errs to the side that harms nobody: a source's burst is its whole `count`, so
 * that a sender who keeps to the rate is never refused, however unevenly he sends; a sink's is a tenth of a second's
 * worth, so that a receiver never gets much more than the rate, as it would in the first period by a larger one.
 */
import type { Rate } from "./plan.ts";

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  private constructor(rate: Rate, burst: number, now: number) {
    this.#perMs = rate.count / rate.perMs;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  static ofSource(rate: Rate, now: number): TokenBucket {
    return new TokenBucket(rate, rate.count, now);
  }

  static ofSink(rate: Rate, now: number): TokenBucket {
    return new TokenBucket(rate, Math.max(1, Math.floor((rate.count / rate.perMs) * 100)), now);
  }

  /** How many may go now. */
  available(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, now - this.#at) * this.#perMs);
    this.#at = now;
    // The sum of many small shares may miss a whole one by a rounding.
    return Math.floor(this.#tokens + 1e-9);
  }

  /** One goes; to be called only where one may. */
  take(): void {
    this.#tokens -= 1;
  }

  /** What was taken was not used. */
  giveBack(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1);
  }

  /** Milliseconds until the next one may go; 0 when one may now. */
  waitMs(now: number): number {
    return this.available(now) > 0 ? 0 : Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMs));
  }
}
