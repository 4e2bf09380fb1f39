/**
 * The events just committed, in the main thread's memory: what subscriptions that have caught up, and live readers, are
 * fed from without asking the disk. Bounded in bytes; the oldest batches are shed first, and whoever was that far
 * behind pages through the journal.
 */
import type { Event, Seq } from "../../event.ts";
import type { Committed } from "./committed.ts";

/**
 * Of the newest batches, so many stay unpacked once somebody asked: who keeps up shares them. What is decoded of an
 * event hangs on it and may take ten times its bytes.
 */
const UNPACKED_BYTES = 1024 * 1024;
const UNPACKED_EVENTS = 256;

const NONE: readonly Committed[] = [];

export class Ring {
  #batches: Committed[] = [];
  #bytes = 0;
  readonly #limit: number;
  /** From this place on batches stay unpacked; what those are. */
  #fresh = 0;
  #freshBytes = 0;
  #freshEvents = 0;
  #newest: Seq;

  /** `newest` is the last seq committed before; at most `limit` bytes are kept. */
  constructor(newest: Seq, limit: number) {
    this.#newest = newest;
    this.#limit = limit;
  }

  /** The last committed seq. */
  get newest(): Seq {
    return this.#newest;
  }

  /**
   * Adds one commit's events; they follow on from `newest` without a gap. Returns what it doesn't hold from now on, to
   * be released: the oldest batches, or this one.
   */
  push(committed: Committed): readonly Committed[] {
    if (committed.count === 0) return [committed];
    this.#batches.push(committed);
    this.#bytes += committed.bytes;
    this.#newest = committed.last;
    this.#freshBytes += committed.bytes;
    this.#freshEvents += committed.count;
    while (
      this.#fresh < this.#batches.length - 1 &&
      (this.#freshBytes > UNPACKED_BYTES || this.#freshEvents > UNPACKED_EVENTS)
    ) {
      this.#repack();
    }
    let shed = 0;
    while (this.#bytes > this.#limit && shed < this.#batches.length) {
      this.#bytes -= this.#batches[shed++]!.bytes;
    }
    if (shed === 0) return NONE;
    while (this.#fresh < shed) this.#repack();
    this.#fresh -= shed;
    return this.#batches.splice(0, shed);
  }

  #repack(): void {
    const batch = this.#batches[this.#fresh++]!;
    this.#freshBytes -= batch.bytes;
    this.#freshEvents -= batch.count;
    batch.repack();
  }

  /** Events from exactly `next` on, to the end of the batch that holds it; null when it isn't held. */
  from(next: Seq): readonly Event[] | null {
    const batch = this.#batch(next);
    if (batch === undefined) return null;
    return next === batch.first ? batch.events : batch.events.slice(next - batch.first);
  }

  get(seq: Seq): Event | undefined {
    const batch = this.#batch(seq);
    return batch?.at(seq - batch.first);
  }

  /** The batch that holds `seq`; seqs are dense, so within it the place is a subtraction. */
  #batch(seq: Seq): Committed | undefined {
    const batches = this.#batches;
    let low = 0;
    let high = batches.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (batches[middle]!.last < seq) low = middle + 1;
      else high = middle;
    }
    const batch = batches[low];
    return batch !== undefined && batch.first <= seq ? batch : undefined;
  }
}
