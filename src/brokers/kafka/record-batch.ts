/**
 * Record batches (message format v2, KIP-98) as they come in a Fetch response: packed, to be unpacked one at a time.
 *
 * kafkajs unpacks all of a response at once, before anybody has seen of which partition a batch is: one batch in a codec
 * that it doesn't have ends the whole consumer, and a response of 8 MiB may become gigabytes. So we read the frame only,
 * and leave the records to whoever takes the batch (`records.ts`).
 */

import type { KafkaRecord } from "./records.ts";

/** What a batch is packed with; the numbers are the protocol's. */
export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type Codec = (typeof CODECS)[number];

export interface RecordBatch {
  /** Offset of the first record as it was written; compaction may have removed that one. */
  readonly base: number;
  readonly last: number;
  /** Null where it is a codec that the protocol doesn't know (yet). */
  readonly codec: Codec | null;
  readonly count: number;
  /** The records, packed as `codec` says. A view on the response's memory. */
  readonly records: Buffer;
  /** Milliseconds since 1970: of the first record, and the one of all where the broker sets it (else null). */
  readonly firstTimestamp: number;
  readonly appendTimestamp: number | null;
  /** Written in a transaction that was rolled back, or by the broker for its own book-keeping: nobody's to read. */
  readonly skipped: boolean;
  /** The records themselves, of a message set of before Kafka 0.11, which only kafkajs knows how to read. */
  readonly read?: readonly KafkaRecord[];
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** To the end of the records' count. */
const HEADER_BYTES = 61;
const LOG_OVERHEAD = 12;
const CODEC_MASK = 0x07;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** The magic byte of what stands at `at`: 2 for record batches, 0 and 1 for the message sets of before Kafka 0.11. */
export function magicAt(set: Buffer, at: number): number {
  return set.readInt8(at + 16);
}

/**
 * The batches of one partition's record set, in order. The last one is left out where the response cut it off.
 * Stops at what is no record batch: `rest` is where.
 */
export function readBatches(
  set: Buffer,
  aborted: readonly AbortedTransaction[],
): { batches: RecordBatch[]; rest: number } {
  const batches: RecordBatch[] = [];
  const pending = [...aborted].sort((a, b) => Number(a.firstOffset - b.firstOffset));
  const rolledBack = new Set<bigint>();
  let at = 0;
  while (at + HEADER_BYTES <= set.length && magicAt(set, at) === 2) {
    const size = LOG_OVERHEAD + set.readInt32BE(at + 8);
    if (size < HEADER_BYTES) throw new RangeError(`a record batch of ${size} bytes`);
    if (at + size > set.length) break;
    const base = Number(set.readBigInt64BE(at));
    const attributes = set.readInt16BE(at + 21);
    const last = base + set.readInt32BE(at + 23);
    const producerId = set.readBigInt64BE(at + 43);
    const records = set.subarray(at + HEADER_BYTES, at + size);
    while (pending[0] !== undefined && pending[0].firstOffset <= BigInt(last)) {
      rolledBack.add((pending.shift() as AbortedTransaction).producerId);
    }
    const control = (attributes & CONTROL) !== 0;
    if (control && isAbortMarker(records)) rolledBack.delete(producerId);
    batches.push({
      base,
      last,
      codec: CODECS[attributes & CODEC_MASK] ?? null,
      count: set.readInt32BE(at + 57),
      records,
      firstTimestamp: Number(set.readBigInt64BE(at + 27)),
      appendTimestamp: (attributes & LOG_APPEND_TIME) === 0 ? null : Number(set.readBigInt64BE(at + 35)),
      skipped: control || ((attributes & TRANSACTIONAL) !== 0 && rolledBack.has(producerId)),
    });
    at += size;
  }
  return { batches, rest: at };
}

/** A control record's key is its version and type, 16 bits each; the type of a transaction that was rolled back is 0. */
function isAbortMarker(records: Buffer): boolean {
  // length, attributes, timestamp delta (a broker writes 0), offset delta, key's length: a byte each.
  return records.length >= 9 && records.readInt16BE(7) === 0;
}
