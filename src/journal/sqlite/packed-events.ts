/**
 * Many events as three flat arrays: what travels between threads. Structured clone of one object per event, each with
 * two small buffers, cost ten times as much; and a body that the HTTP parser hands out is a slice of a 64 KiB slab, which
 * would be kept (and posted) whole. Packing copies it once, when it is appended, so nothing holds on to the slab.
 */
import type { Event, NewEvent, Seq } from "../../event.ts";

export interface PackedEvents {
  readonly count: number;
  /** For each event: source, id, type, subject, key. */
  readonly texts: readonly (string | null)[];
  /** For each event: see the offsets below; -1 is null. */
  readonly numbers: Float64Array;
  /** For each event its headers, then its body, one after the other. */
  readonly bytes: Uint8Array;
}

export const TEXTS = 5;
export const NUMBERS = 7;

/** Offsets within an event's texts. */
export const SOURCE = 0;
export const ID = 1;
export const TYPE = 2;
export const SUBJECT = 3;
export const KEY = 4;

/** Offsets within an event's numbers. `SEQ` is 0 before it has one; `DEDUPE` only means something for appends. */
export const SEQ = 0;
export const TIME = 1;
export const HOPS = 2;
export const CAUSE = 3;
export const DEDUPE = 4;
export const HEADERS_LENGTH = 5;
export const BODY_LENGTH = 6;

export const NO_EVENTS: PackedEvents = {
  count: 0,
  texts: [],
  numbers: new Float64Array(0),
  bytes: new Uint8Array(0),
};

/** Gathers events; grows as needed. */
export class EventPacker {
  count = 0;
  /** How many bytes of headers and bodies are packed. */
  size = 0;
  readonly #texts: (string | null)[] = [];
  #numbers: Float64Array;
  #bytes: Buffer;

  /** What to make room for at first, so that a steady load allocates once. */
  constructor(events = 16, bytes = 16384) {
    this.#numbers = new Float64Array(events * NUMBERS);
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  add(event: NewEvent, seq: Seq, dedupeMs: number | null): void {
    const { headers, body } = event;
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
    numbers[at] = body.byteLength;
    this.#texts.push(event.source, event.id, event.type, event.subject, event.key);
    this.#bytes.set(headers, this.size);
    this.#bytes.set(body, this.size + headers.byteLength);
    this.size = end;
    this.count++;
  }

  /** What was packed; `bytes` has a buffer of its own, of exactly its size, fit to be transferred. */
  pack(): PackedEvents {
    return {
      count: this.count,
      texts: this.#texts,
      numbers: this.#numbers.slice(0, this.count * NUMBERS),
      bytes: new Uint8Array(this.#bytes.buffer.slice(0, this.size)),
    };
  }

  /** The same, as views on the packer's own memory: for whoever keeps them while the packed ones travel. */
  view(): PackedEvents {
    return { count: this.count, texts: this.#texts, numbers: this.#numbers, bytes: this.#bytes };
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

  constructor(packed: PackedEvents) {
    this.#packed = packed;
    const { bytes } = packed;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Passes over the next one. */
  skip(): void {
    const at = this.#index++ * NUMBERS;
    this.#offset += this.#packed.numbers[at + HEADERS_LENGTH]! + this.#packed.numbers[at + BODY_LENGTH]!;
  }

  /** The next one, with the seq given or its own. */
  next(seq?: Seq): Event {
    const { texts, numbers } = this.#packed;
    const text = this.#index * TEXTS;
    const number = this.#index * NUMBERS;
    const bodyAt = this.#offset + numbers[number + HEADERS_LENGTH]!;
    const end = bodyAt + numbers[number + BODY_LENGTH]!;
    const cause = numbers[number + CAUSE]!;
    const event: Event = {
      seq: seq ?? numbers[number + SEQ]!,
      source: texts[text + SOURCE]!,
      id: texts[text + ID]!,
      type: texts[text + TYPE]!,
      subject: texts[text + SUBJECT]!,
      key: texts[text + KEY]!,
      time: numbers[number + TIME]!,
      headers: this.#bytes.subarray(this.#offset, bodyAt),
      body: this.#bytes.subarray(bodyAt, end),
      hops: numbers[number + HOPS]!,
      cause: cause === -1 ? null : cause,
    };
    this.#index++;
    this.#offset = end;
    return event;
  }
}

export function unpackEvents(packed: PackedEvents): Event[] {
  const unpacker = new EventUnpacker(packed);
  return Array.from({ length: packed.count }, () => unpacker.next());
}
