/**
 * Reads the write-ahead log as it lies on disk, before SQLite does. SQLite takes the first frame that doesn't fit for
 * the log's end: right for a commit that a crash cut off, but damage in the middle would silently take every commit
 * behind it along. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 *
 * Only to be called while this process has the database not open: closing a file drops SQLite's POSIX locks on it.
 */
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { endianness } from "node:os";
import { MOST_RELAXED } from "./storage.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const SMALLEST_PAGE = 512;
const LARGEST_PAGE = 65536;
/** The lowest bit says in which byte order checksums are computed: 1 is big-endian. */
const MAGIC = 0x377f0682;
const FORMAT = 3007000;
/** Commits behind the last fsync: the relaxed ones, and the full one that was under way. */
const MOST_UNSYNCED = MOST_RELAXED + 1;
const CHUNK_BYTES = 4 * 1024 * 1024;

/** How far the log holds together. Frames are counted from 1. */
interface Reading {
  /** The last frame of the last whole commit; 0 when there is none. */
  committed: number;
  /** The first frame that doesn't fit; null when all do. */
  broken: number | null;
  /** Commits, by their last frame, that this log has at the broken frame or behind it. */
  lost: number;
}

export interface WalState {
  /** What is damaged in it, in words for people; null when all that it committed is there. */
  readonly damage: string | null;
  /**
   * Behind its end lie commits that a crash left unfinished. It has to begin anew before anything is written to it: what
   * would not be written over would be taken for damage the next time.
   */
  readonly torn: boolean;
}

const WHOLE: WalState = { damage: null, torn: false };
const TORN: WalState = { damage: null, torn: true };

/**
 * Looks at the log beside `database`. With `booted` (see boot.ts) the last commits may have been lost by the machine, if
 * they are so few that nobody was promised them.
 */
export function walState(database: string, booted = false): WalState {
  let fd: number;
  try {
    fd = openSync(`${database}-wal`, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return WHOLE;
    throw error;
  }
  try {
    const header = new Uint8Array(HEADER_BYTES);
    const first = new Uint8Array(FRAME_HEADER_BYTES + SMALLEST_PAGE);
    const short =
      readFully(fd, header, 0) < HEADER_BYTES || readFully(fd, first, HEADER_BYTES) < first.length;
    // Without one whole frame nothing was ever committed in it.
    if (short) return WHOLE;
    const wal = readHeader(header);
    if (wal === null) return { damage: "the header of journal.db-wal", torn: false };
    const { committed, broken, lost } = readFrames(fd, wal);
    if (broken === null || lost === 0) return WHOLE;
    if (booted && lost <= MOST_UNSYNCED) return TORN;
    if (lost === 1 && neverDone(database, wal, committed)) return TORN;
    const damage = `journal.db-wal from frame ${broken} on, and at least ${lost} commits lie there`;
    return { damage, torn: false };
  } finally {
    closeSync(fd);
  }
}

interface Wal {
  readonly pageBytes: number;
  readonly bigEndian: boolean;
  /** As they stand in the file: frames of an earlier use of the file have others. */
  readonly salts: readonly [number, number];
  readonly sum: Checksum;
}

function readHeader(bytes: Uint8Array): Wal | null {
  const view = new DataView(bytes.buffer);
  const magic = view.getUint32(0);
  const pageBytes = view.getUint32(8);
  if ((magic & ~1) !== MAGIC || view.getUint32(4) !== FORMAT) return null;
  if (pageBytes < SMALLEST_PAGE || pageBytes > LARGEST_PAGE || (pageBytes & (pageBytes - 1)) !== 0)
    return null;
  const salts = [view.getUint32(16), view.getUint32(20)] as const;
  const sums = [view.getUint32(24), view.getUint32(28)] as const;
  const bigEndian = (magic & 1) === 1;
  const sum = new Checksum();
  sum.add(words(bytes, bigEndian), 0, 6);
  return sum.is(sums[0], sums[1]) ? { pageBytes, bigEndian, salts, sum } : null;
}

function readFrames(fd: number, { pageBytes, bigEndian, salts, sum }: Wal): Reading {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const chunk = new Uint8Array(frameBytes * Math.max(1, Math.floor(CHUNK_BYTES / frameBytes)));
  const view = new DataView(chunk.buffer);
  const reading: Reading = { committed: 0, broken: null, lost: 0 };
  for (let at = HEADER_BYTES, frame = 1; ; at += chunk.length) {
    const got = readFully(fd, chunk, at);
    const swapped = reading.broken === null ? words(chunk, bigEndian) : null;
    for (let start = 0; start + frameBytes <= got; start += frameBytes, frame++) {
      const ours = view.getUint32(start + 8) === salts[0] && view.getUint32(start + 12) === salts[1];
      const commits = view.getUint32(start + 4) !== 0;
      if (reading.broken === null) {
        if (ours && swapped !== null && view.getUint32(start) !== 0) {
          sum.add(swapped, start >> 2, 2);
          sum.add(swapped, (start + FRAME_HEADER_BYTES) >> 2, pageBytes >> 2);
        }
        if (ours && sum.is(view.getUint32(start + 16), view.getUint32(start + 20))) {
          if (commits) reading.committed = frame;
          continue;
        }
        reading.broken = frame;
      }
      if (ours && commits) reading.lost++;
    }
    if (got < chunk.length) return reading;
  }
}

/**
 * Whether the one commit behind the break was still being written when the process ended: a frame's header is written
 * before its page, and after a power loss blocks arrive in any order. SQLite counts a commit in `-shm` (WalIndexHdr:
 * https://www.sqlite.org/walformat.html) only once it is in the log, so a count that ends before the break clears it.
 */
function neverDone(database: string, { salts }: Wal, committed: number): boolean {
  let bytes: Buffer;
  try {
    bytes = readFileSync(`${database}-shm`);
  } catch {
    return false;
  }
  if (bytes.length < 96 || !bytes.subarray(0, 48).equals(bytes.subarray(48, 96))) return false;
  const sameUse = bytes.readUInt32BE(32) === salts[0] && bytes.readUInt32BE(36) === salts[1];
  const counted = endianness() === "LE" ? bytes.readUInt32LE(16) : bytes.readUInt32BE(16);
  return sameUse && counted <= committed;
}

/** The log's running checksum: two sums that feed each other, over pairs of 32-bit words. */
class Checksum {
  #a = 0;
  #b = 0;

  add(words: Uint32Array, from: number, count: number): void {
    let a = this.#a;
    let b = this.#b;
    for (let at = from, end = from + count; at < end; at += 2) {
      a = (a + words[at]! + b) | 0;
      b = (b + words[at + 1]! + a) | 0;
    }
    this.#a = a;
    this.#b = b;
  }

  is(a: number, b: number): boolean {
    return this.#a === (a | 0) && this.#b === (b | 0);
  }
}

/** The bytes as words in the checksum's byte order: no copy where that is the machine's own, as it is by default. */
function words(bytes: Uint8Array, bigEndian: boolean): Uint32Array {
  if ((endianness() === "BE") === bigEndian) return new Uint32Array(bytes.buffer);
  const swapped = new Uint8Array(bytes);
  Buffer.from(swapped.buffer).swap32();
  return new Uint32Array(swapped.buffer);
}

/** Fewer bytes than asked for only at the end of the file. */
function readFully(fd: number, into: Uint8Array, at: number): number {
  let got = 0;
  while (got < into.length) {
    const read = readSync(fd, into, got, into.length - got, at + got);
    if (read === 0) break;
    got += read;
  }
  return got;
}
