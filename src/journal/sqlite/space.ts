/**
 * Room on the disk. Intake stops when less is free than the watermark: what is left is for settlements and retention. If
 * a commit meets a full disk all the same, the ballast is let go, so that settlements and retention can commit, and
 * intake stays closed until there is room for the watermark and a new ballast.
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
  /** Measures anew; reopens when there is room again. Called about once a second. */
  check(): void;
  /** A commit met a full disk. */
  full(): void;
}

export function createSpace(storage: Storage, watermark: Watermark, ballastBytes: number): Space {
  let closed: SpaceReason | null = null;
  let free = 0;
  let ballast = false;

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
    check() {
      const measured = storage.space();
      free = measured.free;
      // The smaller of the two: a tenth of a large disk would be far more than is needed.
      const low = Math.min(watermark.share * measured.total, watermark.bytes);
      // On a small file system a smaller ballast: it must not be what fills it.
      const size = Math.floor(Math.min(ballastBytes, measured.total / 50));
      if (!ballast && (storage.hasBallast(size) || free >= low + size)) restoreBallast(size);
      if (!ballast) closed = "disk_full";
      else closed = free < low ? "disk_low" : null;
    },
    full() {
      storage.releaseBallast();
      ballast = false;
      closed = "disk_full";
    },
  };
  space.check();
  return space;
}
