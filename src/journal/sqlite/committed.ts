/**
 * The events of one commit. They stay packed until somebody asks for one: what nobody reads costs a few large pieces of
 * memory instead of many small ones, which the garbage collector would have to copy and mark.
 */
import { type Event, NO_HEADERS, type Seq } from "../../event.ts";
import type { Commit } from "../journal.ts";
import { type EventPacker, EventUnpacker } from "./packed-events.ts";

const NONE: ReadonlySet<number> = new Set();

/** What one takes beside its bytes and text: its objects. */
const OVERHEAD_BYTES = 1024;

export class Committed implements Commit {
  readonly first: Seq;
  readonly count: number;
  /** What they take in memory, about. */
  readonly bytes: number;
  readonly #packer: EventPacker;
  /** Indexes of packed ones that were not appended (duplicates, refused ones). */
  readonly #stale: ReadonlySet<number>;
  #events: readonly Event[] | null = null;
  #keeps = true;

  /** `packer`: closed, and this one's to release. */
  constructor(packer: EventPacker, first: Seq, stale = NONE) {
    this.#packer = packer;
    this.#stale = stale;
    this.first = first;
    this.count = packer.count - stale.size;
    this.bytes = packer.size + OVERHEAD_BYTES;
  }

  /** The last one's seq; `first - 1` when there is none. */
  get last(): Seq {
    return this.first + this.count - 1;
  }

  /**
   * In seq order, contiguous; unpacked once, and after `repack` for each who asks, into memory that lives as long as
   * any of them. Not after `release`.
   */
  get events(): readonly Event[] {
    if (this.#events !== null) return this.#events;
    const { count, text, bytes } = this.#packer.view();
    const unpacker = new EventUnpacker({ count, text, bytes: bytes.slice() });
    const events: Event[] = [];
    for (let index = 0; index < count; index++) {
      if (this.#stale.has(index)) unpacker.skip();
      else events.push(unpacker.next(this.first + events.length));
    }
    if (this.#keeps) this.#events = events;
    return events;
  }

  /** The one at this place among them. */
  at(place: number): Event | undefined {
    if (this.#events !== null) return this.#events[place];
    if (this.#keeps || place >= this.count) return this.events[place];
    const unpacker = new EventUnpacker(this.#packer.view());
    let before = 0;
    for (let index = 0; before < place || this.#stale.has(index); index++) {
      if (!this.#stale.has(index)) before++;
      unpacker.skip();
    }
    const event = unpacker.next(this.first + place);
    const headers = event.headers.byteLength === 0 ? NO_HEADERS : Buffer.from(event.headers);
    return { ...event, headers, body: Buffer.from(event.body) };
  }

  /** Keeps its events no longer unpacked: with what was decoded of them they take many times their bytes. */
  repack(): void {
    this.#keeps = false;
    this.#events = null;
  }

  /** Nobody will ask for its events who hasn't yet. */
  release(): void {
    this.#packer.release();
  }

  /** How many there are of each source. */
  bySource(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    const unpacker = new EventUnpacker(this.#packer.view());
    for (let index = 0; index < this.#packer.count; index++) {
      if (!this.#stale.has(index)) {
        const source = unpacker.source();
        counts.set(source, (counts.get(source) ?? 0) + 1);
      }
      unpacker.skip();
    }
    return counts;
  }
}
