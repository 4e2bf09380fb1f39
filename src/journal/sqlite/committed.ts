/**
 * The events of one commit. They stay packed until somebody asks for one: what nobody reads costs a few large pieces of
 * memory instead of many small ones, which the garbage collector would have to copy and mark.
 */
import type { Event, Seq } from "../../event.ts";
import type { Commit } from "../journal.ts";
import { EventUnpacker, type PackedEvents } from "./packed-events.ts";

const NONE: ReadonlySet<number> = new Set();

/** What one takes beside its bytes, text and numbers: its objects, and what the engine keeps for two buffers. */
const OVERHEAD_BYTES = 1024;

export class Committed implements Commit {
  readonly first: Seq;
  readonly count: number;
  /** What they take in memory, about. */
  readonly bytes: number;
  readonly #packed: PackedEvents;
  /** Indexes of packed ones that were not appended (duplicates, refused ones). */
  readonly #stale: ReadonlySet<number>;
  #events: readonly Event[] | null = null;
  #keeps = true;

  constructor(packed: PackedEvents, first: Seq, stale = NONE) {
    this.#packed = fitted(packed);
    this.#stale = stale;
    this.first = first;
    this.count = packed.count - stale.size;
    const { bytes, text, numbers } = this.#packed;
    this.bytes = bytes.buffer.byteLength + text.length + numbers.buffer.byteLength + OVERHEAD_BYTES;
  }

  /** The last one's seq; `first - 1` when there is none. */
  get last(): Seq {
    return this.first + this.count - 1;
  }

  /** In seq order, contiguous; unpacked once, and after `repack` for each who asks. */
  get events(): readonly Event[] {
    if (this.#events !== null) return this.#events;
    const unpacker = new EventUnpacker(this.#packed);
    const events: Event[] = [];
    for (let index = 0; index < this.#packed.count; index++) {
      if (this.#stale.has(index)) unpacker.skip();
      else events.push(unpacker.next(this.first + events.length));
    }
    if (this.#keeps) this.#events = events;
    return events;
  }

  /** The one at this place among them. */
  at(place: number): Event | undefined {
    if (this.#events !== null || this.#keeps) return this.events[place];
    if (place >= this.count) return undefined;
    const unpacker = new EventUnpacker(this.#packed);
    let before = 0;
    for (let index = 0; before < place || this.#stale.has(index); index++) {
      if (!this.#stale.has(index)) before++;
      unpacker.skip();
    }
    return unpacker.next(this.first + place);
  }

  /** Keeps its events no longer unpacked: with what was decoded of them they take many times their bytes. */
  repack(): void {
    this.#keeps = false;
    this.#events = null;
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

/** What is packed without room to spare: a packer takes more than a small group needs, which the ring would keep. */
function fitted(packed: PackedEvents): PackedEvents {
  const { bytes, numbers } = packed;
  if (bytes.buffer.byteLength <= 2 * bytes.byteLength) return packed;
  // Not `slice`, which of a Buffer is a view.
  return { ...packed, bytes: new Uint8Array(bytes), numbers: new Float64Array(numbers) };
}
