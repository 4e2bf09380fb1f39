/**
 * Many events as one string, one array of numbers and one buffer: what travels between threads, and what the ring holds.
 * Structured clone of an object per event, each with two small buffers, costs ten times as much; the few large pieces
 * also survive the young generation for nothing, where thousands of small ones would be copied by each collection.
 *
 * A body that the HTTP parser hands out is a slice of a 64 KiB slab, which would be kept (and posted) whole. Packing
 * copies it once, when it is appended, so nothing holds on to the slab.
 */
import type { Event, NewEvent, Seq } from "../../event.ts";

export interface PackedEvents {
  readonly count: number;
  /** For each event source, id, type, subject and key, one behind the other; their lengths are among the numbers. */
  readonly text: string;
  /** For each event: see the offsets below; -1 is null. */
  readonly numbers: Float64Array;
  /** For each event its headers, then its body, one after the other. */
  readonly bytes: Uint8Array;
}

/** Numbers of one event. */
const NUMBERS = 12;

/** Offsets within them. `SEQ` is 0 before it has one; `DEDUPE` only means something for appends. */
const SEQ = 0;
const TIME = 1;
const HOPS = 2;
const CAUSE = 3;
const DEDUPE = 4;
const HEADERS_LENGTH = 5;
const BODY_LENGTH = 6;
const SOURCE_LENGTH = 7;
const ID_LENGTH = 8;
const TYPE_LENGTH = 9;
const SUBJECT_LENGTH = 10;
const KEY_LENGTH = 11;

/** Gathers events; grows as needed. */
export class EventPacker {
  count = 0;
  /** How many bytes of headers and bodies are packed. */
  size = 0;
  #texts: string[] = [];
  #numbers: Float64Array;
  #bytes: Buffer;

  /** What to make room for at first, so that a steady load allocates once. */
  constructor(events = 16, bytes = 16384) {
    this.#numbers = new Float64Array(events * NUMBERS);
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  add(event: NewEvent, seq: Seq, dedupeMs: number | null): void {
    const { headers, body, source, id, type, subject, key } = event;
    const end = this.size + headers.byteLength + body.byteLength;
    if (end > this.#bytes.byteLength) this.#growBytes(end);
    let at = this.count * NUMBERS;
    if (at === this.#numbers.length) this.#growNumbers();
    const numbers = this.#numbers;
    numbers[at++] = seq;
    numbers[at++] = event.time;
    numbers[at++] = event.hops;
    numbers[at++] = event.cause ?? -1;
    numbers[at++] = dedupeMs ?? -1;
    numbers[at++] = headers.byteLength;
    numbers[at++] = body.byteLength;
    numbers[at++] = source.length;
    numbers[at++] = id.length;
    numbers[at++] = type.length;
    numbers[at++] = subject === null ? -1 : subject.length;
    numbers[at] = key === null ? -1 : key.length;
    this.#texts.push(source, id, type);
    if (subject !== null) this.#texts.push(subject);
    if (key !== null) this.#texts.push(key);
    this.#bytes.set(headers, this.size);
    this.#bytes.set(body, this.size + headers.byteLength);
    this.size = end;
    this.count++;
  }

  /** What was packed, as views on the packer's own memory. */
  view(): PackedEvents {
    return {
      count: this.count,
      text: this.#text(),
      numbers: this.#numbers.subarray(0, this.count * NUMBERS),
      bytes: this.#bytes.subarray(0, this.size),
    };
  }

  /** A copy; `bytes` has a buffer of its own, of exactly its size, fit to be transferred. */
  pack(): PackedEvents {
    return {
      count: this.count,
      text: this.#text(),
      numbers: this.#numbers.slice(0, this.count * NUMBERS),
      bytes: new Uint8Array(this.#bytes.buffer.slice(0, this.size)),
    };
  }

  #text(): string {
    if (this.#texts.length > 1) this.#texts = [this.#texts.join("")];
    return this.#texts[0] ?? "";
  }

  #growBytes(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.byteLength * 2));
    grown.set(this.#bytes.subarray(0, this.size));
    this.#bytes = grown;
  }

  #growNumbers(): void {
    const grown = new Float64Array(this.#numbers.length * 2);
    grown.set(this.#numbers);
    this.#numbers = grown;
  }
}

/** Walks packed events in order; the bytes of each are views on the packed ones. */
export class EventUnpacker {
  readonly #packed: PackedEvents;
  readonly #bytes: Buffer;
  #index = 0;
  #offset = 0;
  #text = 0;

  constructor(packed: PackedEvents) {
    this.#packed = packed;
    const { bytes } = packed;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The source's name of the next one. */
  source(): string {
    return this.#packed.text.slice(this.#text, this.#text + this.#number(SOURCE_LENGTH));
  }

  /** Of the next one; null is neither looked up nor remembered. */
  dedupeMs(): number | null {
    const dedupe = this.#number(DEDUPE);
    return dedupe === -1 ? null : dedupe;
  }

  /** Passes over the next one. */
  skip(): void {
    this.#offset += this.#number(HEADERS_LENGTH) + this.#number(BODY_LENGTH);
    for (let at = SOURCE_LENGTH; at <= KEY_LENGTH; at++) this.#text += Math.max(0, this.#number(at));
    this.#index++;
  }

  /** The next one, with the seq given or its own. */
  next(seq?: Seq): Event {
    const bodyAt = this.#offset + this.#number(HEADERS_LENGTH);
    const end = bodyAt + this.#number(BODY_LENGTH);
    const cause = this.#number(CAUSE);
    const event: Event = {
      seq: seq ?? this.#number(SEQ),
      source: this.#take(SOURCE_LENGTH) ?? "",
      id: this.#take(ID_LENGTH) ?? "",
      type: this.#take(TYPE_LENGTH) ?? "",
      subject: this.#take(SUBJECT_LENGTH),
      key: this.#take(KEY_LENGTH),
      time: this.#number(TIME),
      headers: this.#bytes.subarray(this.#offset, bodyAt),
      body: this.#bytes.subarray(bodyAt, end),
      hops: this.#number(HOPS),
      cause: cause === -1 ? null : cause,
    };
    this.#index++;
    this.#offset = end;
    return event;
  }

  #number(offset: number): number {
    return this.#packed.numbers[this.#index * NUMBERS + offset]!;
  }

  /** The next piece of text, by its length. */
  #take(length: number): string | null {
    const characters = this.#number(length);
    if (characters === -1) return null;
    const start = this.#text;
    this.#text += characters;
    return this.#packed.text.slice(start, this.#text);
  }
}

export function unpackEvents(packed: PackedEvents): Event[] {
  const unpacker = new EventUnpacker(packed);
  return Array.from({ length: packed.count }, () => unpacker.next());
}
