/**
 * Many events as one string and one run of bytes: what travels between threads, and what the ring holds. Structured clone
 * of an object per event, each with two small buffers, costs ten times as much; the few large pieces also survive the
 * young generation for nothing, where thousands of small ones would be copied by each collection.
 *
 * A body that the HTTP parser hands out is a slice of a 64 KiB slab, which would be kept (and posted) whole. Packing
 * copies it once, when it is appended, so nothing holds on to the slab.
 */
import { type Event, type NewEvent, NO_HEADERS, type Seq } from "../../event.ts";
import { type Memory, ownMemory, type Room } from "./arena.ts";

export interface PackedEvents {
  readonly count: number;
  /** For each event source, id, type, subject and key, one behind the other; their lengths are among the numbers. */
  readonly text: string;
  /** For each event its numbers (see the offsets below; -1 is null), its headers, its body, and up to 7 bytes of nothing. */
  readonly bytes: Uint8Array;
}

/** Numbers of one event, each a float of 64 bits. */
const NUMBERS = 12;
const NUMBERS_BYTES = NUMBERS * 8;

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

const NO_NUMBERS = new Float64Array(0);
const NO_BYTES = new Uint8Array(0);

/** So many bytes of headers and body take so much room. */
function roomFor(bytes: number): number {
  return NUMBERS_BYTES + Math.ceil(bytes / 8) * 8;
}

/** Gathers events; grows as needed. */
export class EventPacker {
  count = 0;
  /** How much room they take, in bytes. */
  size = 0;
  readonly #memory: Memory;
  #room: Room | null = null;
  #numbers: Float64Array = NO_NUMBERS;
  #bytes: Uint8Array = NO_BYTES;
  #texts: string[] = [];

  constructor(memory: Memory = ownMemory) {
    this.#memory = memory;
  }

  add(event: NewEvent, seq: Seq, dedupeMs: number | null): void {
    const { headers, body, source, id, type, subject, key } = event;
    const end = this.size + roomFor(headers.byteLength + body.byteLength);
    if (end > this.#bytes.byteLength) this.#grow(end);
    let at = this.size / 8;
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
    this.#bytes.set(headers, this.size + NUMBERS_BYTES);
    this.#bytes.set(body, this.size + NUMBERS_BYTES + headers.byteLength);
    this.size = end;
    this.count++;
  }

  /** Nothing is added from now on, but what belongs to the same group and has no other place to go. */
  close(): void {
    this.#room?.close(this.size);
    this.#bytes = this.#bytes.subarray(0, this.size);
  }

  /** What was packed, where it lies. */
  view(): PackedEvents {
    return { count: this.count, text: this.#text(), bytes: this.#bytes.subarray(0, this.size) };
  }

  /** For another thread: memory that it may read too, or else a copy that is fit to be transferred (`transferOf`). */
  pack(): PackedEvents {
    const { count, text, bytes } = this.view();
    return { count, text, bytes: bytes.buffer instanceof ArrayBuffer ? bytes.slice() : bytes };
  }

  /** What was packed is wanted by nobody any more. */
  release(): void {
    this.#room?.release();
    this.#room = null;
    this.#numbers = NO_NUMBERS;
    this.#bytes = NO_BYTES;
  }

  #text(): string {
    if (this.#texts.length > 1) this.#texts = [this.#texts.join("")];
    return this.#texts[0] ?? "";
  }

  #grow(needed: number): void {
    this.#room = this.#memory.grow(this.#room, this.size, needed);
    const { buffer, start, end } = this.#room;
    this.#bytes = new Uint8Array(buffer, start, end - start);
    this.#numbers = new Float64Array(buffer, start, Math.floor((end - start) / 8));
  }
}

/** What of packed events can be handed over instead of copied when they are posted. */
export function transferOf({ bytes: { buffer } }: PackedEvents): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}

/** Walks packed events in order; the bytes of each are views on the packed ones. */
export class EventUnpacker {
  readonly #packed: PackedEvents;
  readonly #bytes: Buffer;
  readonly #numbers: Float64Array;
  #offset = 0;
  #text = 0;
  /** The last one's: mostly the next one's too, and then the same string, which is looked up without being hashed. */
  #source = "";
  #type = "";
  #subject: string | null = null;

  constructor(packed: PackedEvents) {
    this.#packed = packed;
    const { buffer, byteOffset, byteLength } = packed.bytes;
    this.#bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.#numbers = new Float64Array(buffer, byteOffset, byteLength / 8);
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
    for (let at = SOURCE_LENGTH; at <= KEY_LENGTH; at++) this.#text += Math.max(0, this.#number(at));
    this.#offset += roomFor(this.#number(HEADERS_LENGTH) + this.#number(BODY_LENGTH));
  }

  /** The next one, with the seq given or its own. */
  next(seq?: Seq): Event {
    const headersAt = this.#offset + NUMBERS_BYTES;
    const bodyAt = headersAt + this.#number(HEADERS_LENGTH);
    const end = bodyAt + this.#number(BODY_LENGTH);
    const cause = this.#number(CAUSE);
    const event: Event = {
      seq: seq ?? this.#number(SEQ),
      source: (this.#source = this.#take(SOURCE_LENGTH, this.#source) ?? ""),
      id: this.#take(ID_LENGTH) ?? "",
      type: (this.#type = this.#take(TYPE_LENGTH, this.#type) ?? ""),
      subject: (this.#subject = this.#take(SUBJECT_LENGTH, this.#subject)),
      key: this.#take(KEY_LENGTH),
      time: this.#number(TIME),
      headers: headersAt === bodyAt ? NO_HEADERS : this.#bytes.subarray(headersAt, bodyAt),
      body: this.#bytes.subarray(bodyAt, end),
      hops: this.#number(HOPS),
      cause: cause === -1 ? null : cause,
    };
    this.#offset += roomFor(end - headersAt);
    return event;
  }

  #number(offset: number): number {
    return this.#numbers[this.#offset / 8 + offset]!;
  }

  /** The next piece of text, by its length; `last` itself where it says the same. */
  #take(length: number, last: string | null = null): string | null {
    const characters = this.#number(length);
    if (characters === -1) return null;
    const start = this.#text;
    this.#text += characters;
    const { text } = this.#packed;
    if (last !== null && last.length === characters && text.startsWith(last, start)) return last;
    return text.slice(start, this.#text);
  }
}

export function unpackEvents(packed: PackedEvents): Event[] {
  const unpacker = new EventUnpacker(packed);
  return Array.from({ length: packed.count }, () => unpacker.next());
}
