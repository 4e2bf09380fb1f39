/** Record batches (message format v2) as a producer writes them, by another hand than the one that reads them. */

export interface WrittenRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: Buffer])[];
}

/** One batch from offset 0 on; `codec` is the protocol's number, and may be another than what `pack` does. */
export function kafkaBatch(
  records: readonly WrittenRecord[],
  codec: number,
  pack: (bytes: Buffer) => Buffer,
): Buffer {
  const packed = pack(Buffer.concat(records.map(record)));
  const head = Buffer.alloc(61);
  head.writeInt32BE(49 + packed.length, 8);
  head.writeInt8(2, 16);
  head.writeInt16BE(codec, 21);
  head.writeInt32BE(records.length - 1, 23);
  head.writeBigInt64BE(1_700_000_000_000n, 27);
  head.writeBigInt64BE(-1n, 43);
  head.writeInt32BE(records.length, 57);
  return Buffer.concat([head, packed]);
}

function record({ key, value, headers }: WrittenRecord, offset: number): Buffer {
  const body = Buffer.concat([
    Buffer.from([0]),
    varint(0),
    varint(offset),
    sized(key),
    sized(value),
    varint(headers.length),
    ...headers.flatMap(([name, content]) => [sized(Buffer.from(name)), sized(content)]),
  ]);
  return Buffer.concat([varint(body.length), body]);
}

function sized(bytes: Buffer | null): Buffer {
  return bytes === null ? varint(-1) : Buffer.concat([varint(bytes.length), bytes]);
}

/** Zigzag, 7 bits a byte, least first; for numbers that fit into 31 bits. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value < 0 ? -2 * value - 1 : 2 * value;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}
