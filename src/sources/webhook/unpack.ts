/** Unpacking bodies within bounds, so that a few bytes can't become a heap full. */
import type { Transform } from "node:stream";
import { promisify } from "node:util";
import {
  brotliDecompress,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  gunzip,
  inflate,
  inflateRaw,
  type Zlib,
  type ZlibOptions,
} from "node:zlib";

type Unpack = (packed: Uint8Array, options: ZlibOptions) => Promise<Buffer>;

const unpackGzip: Unpack = promisify(gunzip);
const unpackZlib: Unpack = promisify(inflate);
const unpackRaw: Unpack = promisify(inflateRaw);
const unpackBrotli: Unpack = promisify(brotliDecompress);

/** `deflate` means zlib's format (RFC 9110, 8.4.1.2), but some senders leave its two-byte header out. */
const unpackDeflate: Unpack = (packed, options) => {
  const isZlib = ((packed[0] ?? 0) & 0x0f) === 8 && (((packed[0] ?? 0) << 8) | (packed[1] ?? 0)) % 31 === 0;
  return (isZlib ? unpackZlib : unpackRaw)(packed, options);
};

const UNPACK: Record<string, Unpack> = {
  gzip: unpackGzip,
  "x-gzip": unpackGzip,
  deflate: unpackDeflate,
  br: unpackBrotli,
};

/** What `Accept-Encoding` of a 415 says we would take. */
export const ENCODINGS = "gzip, deflate, br";

export function isEncoding(name: string): boolean {
  return Object.hasOwn(UNPACK, name);
}

/** How many times larger than it came a body may become, where the configuration doesn't say. */
export const UNPACK_RATIO = 20;

/** The ratio counts only from here on: a small body of many equal lines is no bomb. */
export const HARMLESS_BYTES = 64 * 1024;

export interface UnpackBounds {
  /** Bytes. */
  readonly max: number;
  readonly ratio: number;
}

export type UnpackFault = "too_large" | "malformed";

export type Unpacked =
  | { readonly body: Buffer; readonly fault: null }
  | { readonly body: null; readonly fault: UnpackFault };

/** Never rejects. `encoding` is one that `isEncoding` knows. */
export async function unpack(wire: Uint8Array, encoding: string, bounds: UnpackBounds): Promise<Unpacked> {
  const maxOutputLength = Math.min(bounds.max, Math.max(HARMLESS_BYTES, wire.byteLength * bounds.ratio));
  try {
    const body = await (UNPACK[encoding] as Unpack)(wire, { maxOutputLength: Math.floor(maxOutputLength) });
    return { body, fault: null };
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    return { body: null, fault: tooLarge ? "too_large" : "malformed" };
  }
}

/** Unpacks what comes piece by piece. */
export type Unpacker = Transform & Zlib;

/** Gives what can be unpacked so far at once, so that a line is there when its sender flushes. Its reader holds it to bounds. */
export function createUnpacker(encoding: string): Unpacker {
  if (encoding === "br") return createBrotliDecompress();
  return encoding === "deflate" ? createInflate() : createGunzip();
}
