/**
 * Messages that were taken from a channel and not acknowledged yet, in their order. They may be on disk in any order; what
 * nothing unfinished stands before is acknowledged at once, all of it by one frame (`multiple`), the rest at the end.
 *
 * Delivery tags belong to a channel: each channel has one of these, and it ends with the channel.
 */
export interface Taken<M> {
  readonly message: M;
  readonly bytes: number;
  /** Monotonic clock, ms. */
  readonly since: number;
  settled: boolean;
}

export class Unsettled<M> {
  #taken: Taken<M>[] = [];
  /** Index of the first that isn't acknowledged: shifting each off a long list would move all the others. */
  #head = 0;
  #bytes = 0;

  add(message: M, bytes: number, since: number): Taken<M> {
    const taken = { message, bytes, since, settled: false };
    this.#taken.push(taken);
    this.#bytes += bytes;
    return taken;
  }

  /** Lets go of those that may be acknowledged now; returns the last one, or null where there are none. */
  release(): M | null {
    let last: Taken<M> | undefined;
    for (let taken = this.#taken[this.#head]; taken?.settled; taken = this.#taken[++this.#head]) {
      this.#bytes -= taken.bytes;
      last = taken;
    }
    if (this.#head > 1_024 && this.#head * 2 > this.#taken.length) {
      this.#taken = this.#taken.slice(this.#head);
      this.#head = 0;
    }
    return last?.message ?? null;
  }

  /** Those that may be acknowledged though one before them isn't settled, each by itself. */
  behind(): M[] {
    return this.#taken
      .slice(this.#head)
      .filter(({ settled }) => settled)
      .map(({ message }) => message);
  }

  /** How many aren't settled. */
  get unfinished(): number {
    let count = 0;
    for (let at = this.#head; at < this.#taken.length; at++) if (!this.#taken[at]?.settled) count++;
    return count;
  }

  /** How many there are. */
  get count(): number {
    return this.#taken.length - this.#head;
  }

  /** Of their bodies, together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** When the oldest came, by the monotonic clock; null where there is none. */
  get oldest(): number | null {
    return this.#taken[this.#head]?.since ?? null;
  }
}
