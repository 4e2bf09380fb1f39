/**
 * The words: what an event is, and how its headers are kept.
 *
 * Everything here is plain data with no behaviour of its own, so that every layer may import it.
 */

/** The journal's own number of an event. Dense, grows in commit order, below 2^53 (microseconds of the journal's birth). */
export type Seq = number;

/** One header as it came: the name in its original case, the value as bytes. */
export type Header = readonly [name: string, value: Uint8Array];

/**
 * Headers in the form that is stored and passed between threads: for each header a 16-bit length and the name in
 * latin1, then a 32-bit length and the value's bytes; all lengths big-endian. One buffer instead of many small ones
 * keeps the path of an accepted webhook free of per-header allocations. `packHeaders` and `unpackHeaders` are the only
 * code that knows it.
 */
export type PackedHeaders = Uint8Array;

/** What a source hands to the journal. */
export interface NewEvent {
  /** The name of the source: a key of `sources`, or a sink that gives back, or `leat`. */
  readonly source: string;
  /** What the sender calls it; at most 512 bytes. With the source's name it is the key for dropping duplicates. */
  readonly id: string;
  readonly type: string;
  readonly subject: string | null;
  /** Events with the same key keep their order; at most 1 KiB. */
  readonly key: string | null;
  /** When it was accepted: milliseconds since 1970, UTC, by the wall clock. */
  readonly time: number;
  readonly headers: PackedHeaders;
  /** The bytes as they came; never changed afterwards (J8). */
  readonly body: Uint8Array;
  /** How many Leats it has come through; above 8 a delivery is dead. */
  readonly hops: number;
  /** The event whose delivery this one answers (a reply), else null. */
  readonly cause: Seq | null;
}

/** An event that the journal has accepted. */
export interface Event extends NewEvent {
  readonly seq: Seq;
}

/** How many Leats an event may come through before its deliveries are dead. */
export const MAX_HOPS = 8;

/** The built-in source: what Leat itself has to say (dead letters, breakers, refusals, sources without their broker). */
export const LEAT_SOURCE = "leat";

/** The type of an event of `leat` that stands for another in a stream (journal/sqlite/replay-event.ts). No route has it. */
export const REPLAY_TYPE = "leat.replay";

export const NO_HEADERS: PackedHeaders = new Uint8Array(0);

/** Up to so many characters text is written by hand: for little, the way out of JavaScript costs more than the bytes. */
const SHORT = 64;

/** Packs `[name, value]` pairs; a string value is taken as latin1, as Node's HTTP parser hands it out, unless told else. */
export function packHeaders(
  headers: Iterable<readonly [string, string | Uint8Array]>,
  encoding: "latin1" | "utf8" = "latin1",
): PackedHeaders {
  const list = Array.isArray(headers)
    ? (headers as (readonly [string, string | Uint8Array])[])
    : [...headers];
  let most = 0;
  for (const [name, value] of list) most += 6 + name.length + mostBytes(value, encoding);
  // Of the pool: memory of its own costs more than all the rest, and what is taken is copied at once.
  const out = Buffer.allocUnsafe(most);
  let at = 0;
  for (const [name, value] of list) {
    at = out.writeUInt16BE(name.length, at);
    at += write(out, name, at, "latin1");
    const valueAt = at + 4;
    if (typeof value === "string") at = valueAt + write(out, value, valueAt, encoding);
    else {
      out.set(value, valueAt);
      at = valueAt + value.length;
    }
    out.writeUInt32BE(at - valueAt, valueAt - 4);
  }
  return at === most ? out : out.subarray(0, at);
}

/** Of short text, what it could have at most: to count them would take as long as to write them. */
function mostBytes(value: string | Uint8Array, encoding: "latin1" | "utf8"): number {
  if (typeof value !== "string" || encoding === "latin1") return value.length;
  return value.length <= SHORT ? value.length * 3 : Buffer.byteLength(value, encoding);
}

/** How many bytes it has written. */
function write(out: Buffer, text: string, at: number, encoding: "latin1" | "utf8"): number {
  if (text.length > SHORT) return out.write(text, at, encoding);
  for (let n = 0; n < text.length; n++) {
    const code = text.charCodeAt(n);
    if (code > 0x7f) return out.write(text, at, encoding);
    out[at + n] = code;
  }
  return text.length;
}

/** Unpacks what `packHeaders` packed; the values are views on the same memory. */
export function unpackHeaders(packed: PackedHeaders): Header[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  const headers: Header[] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 2 + bytes.readUInt16BE(at);
    const name = bytes.toString("latin1", at + 2, nameEnd);
    const valueEnd = nameEnd + 4 + bytes.readUInt32BE(nameEnd);
    headers.push([name, bytes.subarray(nameEnd + 4, valueEnd)]);
    at = valueEnd;
  }
  return headers;
}

/** How many headers are packed, without unpacking them. */
export function countHeaders(packed: PackedHeaders): number {
  let count = 0;
  for (let at = 0; at < packed.byteLength; count++) {
    const nameEnd = at + 2 + nameLength(packed, at);
    at = nameEnd + 4 + valueLength(packed, nameEnd);
  }
  return count;
}

function nameLength(packed: PackedHeaders, at: number): number {
  return (packed[at]! << 8) | packed[at + 1]!;
}

function valueLength(packed: PackedHeaders, at: number): number {
  return packed[at]! * 2 ** 24 + ((packed[at + 1]! << 16) | (packed[at + 2]! << 8) | packed[at + 3]!);
}

/** The last value of a header by its lower-case name, as latin1 text; undefined where there is none. */
export function headerValue(packed: PackedHeaders, lowerCaseName: string): string | undefined {
  let from = -1;
  let to = -1;
  // By hand: unpacked, the headers would be a dozen objects, and each delivery asks for one or two of them.
  for (let at = 0; at < packed.byteLength; ) {
    const nameEnd = at + 2 + nameLength(packed, at);
    const valueAt = nameEnd + 4;
    const length = valueLength(packed, nameEnd);
    if (isNamed(packed, at + 2, nameEnd, lowerCaseName)) {
      from = valueAt;
      to = valueAt + length;
    }
    at = valueAt + length;
  }
  if (from === -1) return undefined;
  return Buffer.from(packed.buffer, packed.byteOffset + from, to - from).toString("latin1");
}

function isNamed(packed: PackedHeaders, from: number, to: number, lowerCaseName: string): boolean {
  if (to - from !== lowerCaseName.length) return false;
  for (let at = from; at < to; at++) {
    const code = packed[at]!;
    const lower = code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
    if (lower !== lowerCaseName.charCodeAt(at - from)) return false;
  }
  return true;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Bytes as text; null for what isn't UTF-8. A byte order mark at the start is no part of it. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/** The bytes an event counts for in backlogs, retention and limits. */
export function eventBytes(event: NewEvent): number {
  return event.body.byteLength + event.headers.byteLength + event.id.length + 64;
}
