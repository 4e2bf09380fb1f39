/** Codecs of Kafka: none, gzip, snappy and zstd, without native modules of our own. */
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import {
  createGunzip,
  createZstdDecompress,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import type { Codec } from "./record-batch.ts";

/** A batch can't be read, and nobody else's fault is in it: its partition has to stand still. */
export class UnreadableBatch extends Error {
  /** `lz4`, `codec` (one that the protocol doesn't know yet) or `corrupt`. */
  readonly reason: "lz4" | "codec" | "corrupt";

  constructor(reason: "lz4" | "codec" | "corrupt", message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "UnreadableBatch";
    this.reason = reason;
  }
}

/** Up to this size a batch is unpacked in one go (some milliseconds); a larger one piece by piece. */
const AT_ONCE_BYTES = 8 * 1024 * 1024;

/** A message set of old is unpacked by kafkajs, in one go. */
const OLD_SET_BYTES = 128 * 1024 * 1024;

interface BlockCodec {
  compress(encoder: { buffer: Buffer }): Promise<Buffer>;
  decompress(packed: Buffer): Promise<Buffer>;
}

const require = createRequire(import.meta.url);
let snappyCodec: BlockCodec | null = null;

/** Loaded when it is first used. */
function snappy(): BlockCodec {
  snappyCodec ??= require("kafkajs-snappy")() as BlockCodec;
  return snappyCodec;
}

/**
 * The bytes in pieces.
 * @throws UnreadableBatch, from the iteration.
 */
export function unpack(packed: Buffer, codec: Codec | null): Iterable<Buffer> | AsyncIterable<Buffer> {
  switch (codec) {
    case "none":
      return [packed];
    case "gzip":
      return inflated(packed, gunzipSync, createGunzip);
    case "zstd":
      return inflated(packed, zstdDecompressSync, createZstdDecompress);
    case "snappy":
      return snappyBlocks(packed);
    case "lz4":
      throw new UnreadableBatch("lz4", "the batch is packed with lz4, which Leat can't read");
    case null:
      throw new UnreadableBatch("codec", "the batch is packed with a codec that Leat doesn't know");
  }
}

type Inflate = (packed: Buffer, options: { maxOutputLength: number }) => Buffer;

function inflated(
  packed: Buffer,
  atOnce: Inflate,
  stream: () => NodeJS.ReadWriteStream,
): Iterable<Buffer> | AsyncIterable<Buffer> {
  try {
    return [atOnce(packed, { maxOutputLength: AT_ONCE_BYTES })];
  } catch (error) {
    if (codeOf(error) !== "ERR_BUFFER_TOO_LARGE") throw corrupt(error);
    return streamed(packed, stream());
  }
}

async function* streamed(packed: Buffer, stream: NodeJS.ReadWriteStream): AsyncGenerator<Buffer> {
  try {
    for await (const piece of Readable.from([packed], { objectMode: false }).pipe(stream))
      yield piece as Buffer;
  } catch (error) {
    throw corrupt(error);
  }
}

/** The framing of Java's snappy: a head of 16 bytes, then blocks with their length before them. Others write one block. */
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEAD = 16;
/** Snappy makes nothing smaller than that: whoever claims more is broken. */
const SNAPPY_RATIO = 24;

async function* snappyBlocks(packed: Buffer): AsyncGenerator<Buffer> {
  if (!packed.subarray(0, XERIAL.length).equals(XERIAL)) {
    yield await snappyBlock(packed);
    return;
  }
  for (let at = XERIAL_HEAD; at + 4 <= packed.length; ) {
    const end = at + 4 + packed.readUInt32BE(at);
    if (end > packed.length) throw corrupt(new RangeError("a block ends behind the batch"));
    yield await snappyBlock(packed.subarray(at + 4, end));
    at = end;
  }
}

async function snappyBlock(block: Buffer): Promise<Buffer> {
  if (snappyLength(block) > block.length * SNAPPY_RATIO + 64)
    throw corrupt(new RangeError("a block's length"));
  try {
    return await snappy().decompress(block);
  } catch (error) {
    throw corrupt(error);
  }
}

/** The unpacked length, which a block begins with: 7 bits a byte, least first. */
function snappyLength(block: Buffer): number {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = block[at] ?? 0;
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) break;
  }
  return length;
}

function corrupt(cause: unknown): UnreadableBatch {
  return new UnreadableBatch("corrupt", "the batch is damaged: it doesn't unpack", cause);
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Gives kafkajs the codecs that it lacks: its producer packs with them, and it reads message sets of old by them. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes }: typeof import("kafkajs") = require("kafkajs");
  CompressionCodecs[CompressionTypes.GZIP] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => gzipSync(buffer),
    decompress: async (packed: Buffer) => gunzipSync(packed, { maxOutputLength: OLD_SET_BYTES }),
  });
  CompressionCodecs[CompressionTypes.Snappy] = snappy;
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async ({ buffer }: { buffer: Buffer }) => zstdCompressSync(buffer),
    decompress: async (packed: Buffer) => zstdDecompressSync(packed, { maxOutputLength: OLD_SET_BYTES }),
  });
}
