/**
 * How many messages to have in hand at once. `prefetch` counts messages, memory counts bytes: 500 small ones are nothing,
 * 500 of 16 MiB are 8 GiB. So where bodies turn out to be large the consumer begins anew with fewer, and when they have
 * become small again, with as many as configured.
 */

/** Of bodies in hand: enough for any `prefetch` of ordinary messages. */
export const MOST_BYTES = 64 * 2 ** 20;
/** So many small ones in a row show that large ones were the exception. */
const SMALL_IN_A_ROW = 1_000;

export class Portion {
  readonly prefetch: number;
  readonly #configured: number;
  /** The largest body for which the configured number fits. */
  readonly #small: number;
  #smallInARow = 0;

  constructor(prefetch: number, configured: number) {
    this.prefetch = prefetch;
    this.#configured = configured;
    this.#small = MOST_BYTES / configured;
  }

  /**
   * Told of each message's bytes, and what is in hand with it. Returns how many to begin anew with; null to go on.
   */
  after(bytes: number, inHand: { readonly bytes: number; readonly count: number }): number | null {
    if (inHand.bytes > MOST_BYTES && inHand.count > 1) {
      return Math.max(
        1,
        Math.min(this.prefetch - 1, Math.floor((inHand.count * MOST_BYTES) / inHand.bytes / 2)),
      );
    }
    if (this.prefetch === this.#configured) return null;
    this.#smallInARow = bytes <= this.#small ? this.#smallInARow + 1 : 0;
    return this.#smallInARow >= SMALL_IN_A_ROW ? this.#configured : null;
  }
}
