/**
 * Room on the disk. Intake stops when less is free than the watermark: what is left is for settlements and retention. If
 * a commit meets a full disk all the same, the ballast is let go, so that settlements and retention can commit, and
 * intake stays closed until there is room for the watermark and a new ballast. Before it comes to that, and as long as it
 * lasts, retention is asked for room (`wanted`).
 */
import type { Storage } from "./storage.ts";

export interface Watermark {
  /** Of the file system's size, 0 to 1. */
  readonly share: number;
  readonly bytes: number;
}

export type SpaceReason = "disk_full" | "disk_low";

export interface Space {
  /** Why intake is closed for want of space; null while it is open. */
  readonly closed: SpaceReason | null;
  readonly free: number;
  /** Bytes that the journal should give back, for intake to open again or to stay open; 0: there is room enough. */
  readonly wanted: number;
  /** Measures anew; reopens when there is room again. Called about once a second. */
  check(): void;
  /**
   * False: events of so many bytes might fill the disk, and the WAL that they lie in could then not be moved any more, so
   * that no deletion would give any room: it is to be treated as full before it is.
   */
  takes(bytes: number): boolean;
  /** A commit met a full disk. True: the ballast was let go for it, so that there may be room now. */
  full(): boolean;
}

/** What an event takes at most for each of its bytes: in the WAL, in the database, and what of a page is left empty. */
const WRITTEN = 3;

/**
 * So much more than the watermark is to be free, and at most so great a part of the file system: intake isn't to open and
 * close all the time.
 */
const MARGIN_BYTES = 256 * 1024 * 1024;
const MARGIN_SHARE = 1 / 20;

export function createSpace(storage: Storage, watermark: Watermark, ballastBytes: number): Space {
  let closed: SpaceReason | null = null;
  let free = 0;
  let wanted = 0;
  let ballast = false;
  /** Less than what is free, as far as is known. */
  let left = 0;

  function restoreBallast(size: number): void {
    try {
      storage.createBallast(size);
      ballast = true;
    } catch {
      // No room for it yet: checked again in a second.
      ballast = false;
    }
  }

  const space: Space = {
    get closed() {
      return closed;
    },
    get free() {
      return free;
    },
    get wanted() {
      return wanted;
    },
    check() {
      const measured = storage.space();
      free = measured.free;
      left = free;
      // The smaller of the two: a tenth of a large disk would be far more than is needed.
      const low = Math.min(watermark.share * measured.total, watermark.bytes);
      // On a small file system a smaller ballast: it must not be what fills it.
      const size = Math.floor(Math.min(ballastBytes, measured.total / 50));
      if (!ballast && (storage.hasBallast(size) || free >= low + size)) restoreBallast(size);
      if (!ballast) closed = "disk_full";
      else closed = free < low ? "disk_low" : null;
      const margin = low === 0 ? 0 : Math.min(MARGIN_BYTES, MARGIN_SHARE * measured.total);
      wanted = Math.max(0, Math.ceil(low + margin) + (ballast ? 0 : size) - free);
    },
    takes(bytes) {
      const most = WRITTEN * bytes;
      if (left < most && bytes > 0) left = storage.space().free;
      left -= most;
      return left >= 0 || bytes === 0;
    },
    full() {
      const had = ballast;
      storage.releaseBallast();
      ballast = false;
      closed = "disk_full";
      return had;
    },
  };
  space.check();
  return space;
}
