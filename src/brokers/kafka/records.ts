/** The records of a batch, read as they are asked for: a batch that unpacks to a thousand times its size fills no memory. */
import type { RecordBatch } from "./record-batch.ts";
import { UnreadableBatch, unpack } from "./unpack.ts";

export interface KafkaRecord {
  readonly offset: number;
  /** Milliseconds since 1970; -1 where the producer gave none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  /** Null: a tombstone. A view on memory that is shared. */
  readonly value: Buffer | null;
  /** Null: all of it is here. Else the whole record's bytes, too many to be read: value or headers are cut off. */
  readonly cutFrom: number | null;
  /** In order, repeats and all. A null value is an empty one. */
  readonly headers: readonly (readonly [name: string, value: Buffer])[];
}

/** Of what is handed over at once: enough for one group commit, little enough to wait in memory. */
const CHUNK_RECORDS = 500;
const CHUNK_BYTES = 1024 * 1024;
/** A record's key and headers beside its value, at most. */
const BESIDE_BYTES = 2 * 1024 * 1024;

const EMPTY = Buffer.alloc(0);
const NO_HEADERS: KafkaRecord["headers"] = [];

/**
 * The records with an offset of at least `from`, in chunks of at most some 500 and 1 MiB (or one larger record).
 * @param mostBytes of a value, beyond which nobody wants to see all of it: a record that is longer is cut.
 * @throws UnreadableBatch
 */
export async function* readRecords(
  batch: RecordBatch,
  from: number,
  mostBytes: number,
): AsyncGenerator<KafkaRecord[]> {
  if (batch.read !== undefined) {
    yield batch.read.filter(({ offset }) => offset >= from);
    return;
  }
  const splitter = new Splitter(batch, mostBytes);
  let chunk: KafkaRecord[] = [];
  let bytes = 0;
  for await (const piece of unpack(batch.records, batch.codec)) {
    splitter.feed(piece);
    for (let record = splitter.next(); record !== null; record = splitter.next()) {
      if (record.offset < from) continue;
      chunk.push(record);
      bytes += record.value?.length ?? 0;
      if (chunk.length < CHUNK_RECORDS && bytes < CHUNK_BYTES) continue;
      yield chunk;
      chunk = [];
      bytes = 0;
    }
  }
  splitter.end();
  if (chunk.length > 0) yield chunk;
}

/** Where a record is larger than wanted, its first part is read and the rest passed over. */
class Splitter {
  readonly #batch: RecordBatch;
  readonly #mostBytes: number;
  /** One for all records: there are tens of thousands a second. */
  readonly #cursor = new Cursor();
  #bytes: Buffer = EMPTY;
  #at = 0;
  #toSkip = 0;
  #left: number;

  constructor(batch: RecordBatch, mostBytes: number) {
    this.#batch = batch;
    this.#mostBytes = mostBytes;
    this.#left = batch.count;
  }

  feed(piece: Buffer): void {
    const skip = Math.min(this.#toSkip, piece.length);
    this.#toSkip -= skip;
    const fresh = piece.subarray(skip);
    const rest = this.#bytes.subarray(this.#at);
    this.#bytes = rest.length === 0 ? fresh : Buffer.concat([rest, fresh]);
    this.#at = 0;
  }

  /** Null: more bytes are needed, or all were read. */
  next(): KafkaRecord | null {
    if (this.#left === 0 || this.#toSkip > 0) return null;
    const cursor = this.#cursor.over(this.#bytes, this.#at);
    const length = cursor.varint();
    if (cursor.beyond) return null;
    if (length < 0) throw damaged("a record's length is below zero");
    const start = cursor.at;
    const there = this.#bytes.length - start;
    const wanted = Math.min(length, this.#mostBytes + BESIDE_BYTES);
    if (there < wanted) return null;
    const end = start + Math.min(length, there);
    this.#toSkip = length - (end - start);
    this.#at = end;
    this.#left--;
    cursor.over(this.#bytes, start, end);
    const cutFrom = this.#toSkip === 0 ? null : length;
    const record = readRecord(cursor, this.#batch, cutFrom);
    if (cursor.beyond && cutFrom === null) throw damaged("a record is longer than it says");
    return record;
  }

  end(): void {
    if (this.#left > 0) throw damaged(`it ends ${this.#left} records too soon`);
  }
}

function damaged(how: string): UnreadableBatch {
  return new UnreadableBatch("corrupt", `the batch is damaged: ${how}`);
}

function readRecord(cursor: Cursor, batch: RecordBatch, cutFrom: number | null): KafkaRecord {
  cursor.at++; // attributes, of which there are none
  const timestampDelta = cursor.varint();
  const offset = batch.base + cursor.varint();
  const key = cursor.bytes();
  const value = cursor.bytes();
  const timestamp = batch.appendTimestamp ?? batch.firstTimestamp + timestampDelta;
  return { offset, timestamp, key, value, cutFrom, headers: readHeaders(cursor) };
}

function readHeaders(cursor: Cursor): KafkaRecord["headers"] {
  const count = cursor.beyond ? 0 : cursor.varint();
  if (count <= 0) return NO_HEADERS;
  const headers: [string, Buffer][] = [];
  for (let n = 0; n < count && !cursor.beyond; n++) {
    const name = cursor.bytes() ?? EMPTY;
    headers.push([name.toString(), cursor.bytes() ?? EMPTY]);
  }
  return headers;
}

/** Reads the protocol's numbers. Beyond the end it reads nothing, and `beyond` says so. */
class Cursor {
  #bytes: Buffer = EMPTY;
  #end = 0;
  at = 0;
  beyond = false;

  /** Begins anew, from `at` on. */
  over(bytes: Buffer, at: number, end = bytes.length): this {
    this.#bytes = bytes;
    this.#end = end;
    this.at = at;
    this.beyond = false;
    return this;
  }

  /** Zigzag, 7 bits a byte, least first. Exact up to 2^53: offsets, lengths and milliseconds are. */
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (this.at >= this.#end) {
        this.beyond = true;
        return 0;
      }
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** With their length before them; null where that is negative. */
  bytes(): Buffer | null {
    const length = this.varint();
    if (this.beyond || length < 0) return null;
    const from = this.at;
    this.at = Math.min(this.#end, from + length);
    this.beyond = from + length > this.#end;
    return this.#bytes.subarray(from, this.at);
  }
}
