/**
 * The events of one commit. They stay packed until somebody asks for one: what nobody reads costs a few large pieces of
 * memory instead of many small ones, which the garbage collector would have to copy and mark.
 */
import type { Event, Seq } from "../../event.ts";
import type { Commit } from "../journal.ts";
import { EventUnpacker, type PackedEvents } from "./packed-events.ts";

const NONE: ReadonlySet<number> = new Set();

export class Committed implements Commit {
  readonly first: Seq;
  readonly count: number;
  /** What they take in memory, about. */
  readonly bytes: number;
  readonly #packed: PackedEvents;
  /** Indexes of packed ones that were not appended (duplicates, refused ones). */
  readonly #stale: ReadonlySet<number>;
  #events: readonly Event[] | null = null;

  constructor(packed: PackedEvents, first: Seq, stale = NONE) {
    this.#packed = packed;
    this.#stale = stale;
    this.first = first;
    this.count = packed.count - stale.size;
    this.bytes = packed.bytes.byteLength + packed.text.length + packed.numbers.byteLength;
  }

  /** The last one's seq; `first - 1` when there is none. */
  get last(): Seq {
    return this.first + this.count - 1;
  }

  /** In seq order, contiguous; unpacked once. */
  get events(): readonly Event[] {
    if (this.#events === null) {
      const unpacker = new EventUnpacker(this.#packed);
      const events: Event[] = [];
      for (let index = 0; index < this.#packed.count; index++) {
        if (this.#stale.has(index)) unpacker.skip();
        else events.push(unpacker.next(this.first + events.length));
      }
      this.#events = events;
    }
    return this.#events;
  }

  /** How many there are of each source. */
  bySource(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const unpacker = new EventUnpacker(this.#packed);
    for (let index = 0; index < this.#packed.count; index++) {
      if (!this.#stale.has(index)) {
        const source = unpacker.source();
        counts.set(source, (counts.get(source) ?? 0) + 1);
      }
      unpacker.skip();
    }
    return counts;
  }
}
