/**
 * What was taken from a broker and isn't acknowledged yet, in the order it came. It may get on disk in any order; what
 * nothing unfinished stands before is released, all that one turn of the event loop has settled at once: a group commit
 * settles many, and one frame or one write can acknowledge them.
 *
 * An acknowledgement belongs to the connection its message came by: each has one of these, and it ends with it.
 */
export interface Taken<M> {
  readonly message: M;
  readonly bytes: number;
  /** Monotonic clock, ms. */
  readonly since: number;
  readonly settled: boolean;
}

type Held<M> = Taken<M> & { settled: boolean };

export class Unsettled<M> {
  readonly #release: (messages: readonly M[]) => void;
  #taken: Held<M>[] = [];
  /** Index of the first that isn't released: shifting each off a long list would move all the others. */
  #head = 0;
  #bytes = 0;
  #flushing = false;

  /** `release` is told of those that may be acknowledged now, in their order; they are let go of. */
  constructor(release: (messages: readonly M[]) => void) {
    this.#release = release;
  }

  add(message: M, bytes: number, since: number): Taken<M> {
    const taken = { message, bytes, since, settled: false };
    this.#taken.push(taken);
    this.#bytes += bytes;
    return taken;
  }

  /** It is on disk. Said of one that was settled before, it says nothing. */
  settle(taken: Taken<M>): void {
    (taken as Held<M>).settled = true;
    if (this.#flushing || this.#taken[this.#head]?.settled !== true) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      this.flush();
    });
  }

  /** Releases now what `settle` would in a moment. */
  flush(): void {
    const first = this.#head;
    for (let taken = this.#taken[this.#head]; taken?.settled; taken = this.#taken[++this.#head]) {
      this.#bytes -= taken.bytes;
    }
    if (this.#head === first) return;
    const released = this.#taken.slice(first, this.#head).map(({ message }) => message);
    if (this.#head > 1_024 && this.#head * 2 > this.#taken.length) {
      this.#taken = this.#taken.slice(this.#head);
      this.#head = 0;
    }
    this.#release(released);
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
