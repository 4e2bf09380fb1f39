/** Bytes as they come, cut into lines: pure, and in memory that is bounded whatever comes. */
import type { BodyBudget } from "../../../http/body.ts";

const LF = 0x0a;
const CR = 0x0d;

/** Kept of a line that is too long, to be shown. */
const HEAD_BYTES = 1024;

/** A line that is not whole yet has this much memory at first, and twice as much whenever it is too little. */
const FIRST_BYTES = 256;

export interface Line {
  /** Without its end (LF, or CR LF). A view on what was pushed, where the line came in one piece. */
  readonly bytes: Uint8Array;
  /** How many bytes all of it has, where `bytes` is only its beginning; else null. */
  readonly cutFrom: number | null;
}

/** The memory for lines that are not whole is used up: others fill it. */
export class Crowded extends Error {}

/**
 * A line ends with LF or CR LF. A CR alone ends none: progress bars write it within a line. Nothing else is looked at,
 * so a character of UTF-8 whose bytes come in two pieces is whole again in its line.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #budget: BodyBudget;
  /** What there is of a line whose end hasn't come: `#length` bytes, of which `#partial` has all, or the head. */
  #partial = Buffer.alloc(0);
  #length = 0;
  #cut = false;

  /** `maxBytes`: of one line, without its end. `budget` is shared by all that gather. */
  constructor(maxBytes: number, budget: BodyBudget) {
    this.#maxBytes = maxBytes;
    this.#budget = budget;
  }

  /** The lines that this piece ends, in order. Nobody may push before all are taken. @throws Crowded */
  *push(piece: Uint8Array): Generator<Line> {
    let from = 0;
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, from)) {
      yield this.#whole(piece.subarray(from, end));
      from = end + 1;
    }
    if (from < piece.byteLength) this.#gather(piece.subarray(from));
  }

  /** The last line, where it has no end of its own; null where there is none. */
  end(): Line | null {
    if (this.#length === 0) return null;
    return this.#whole(new Uint8Array(0));
  }

  /** Gives back the memory of what is not whole. */
  close(): void {
    this.#budget.give(this.#partial.byteLength);
    this.#partial = Buffer.alloc(0);
    this.#length = 0;
    this.#cut = false;
  }

  #whole(rest: Uint8Array): Line {
    let bytes = rest;
    if (this.#length > 0) {
      this.#gather(rest);
      // A copy: the memory is given back.
      bytes = Uint8Array.from(this.#partial.subarray(0, Math.min(this.#length, this.#partial.byteLength)));
    }
    const length = this.#length > 0 ? this.#length : rest.byteLength;
    const wasCut = this.#cut;
    this.close();
    // The CR of what was cut has gone with the rest of it.
    if (!wasCut && bytes.at(-1) === CR) bytes = bytes.subarray(0, -1);
    if (!wasCut && bytes.byteLength <= this.#maxBytes) return { bytes, cutFrom: null };
    return {
      bytes: Uint8Array.from(bytes.subarray(0, HEAD_BYTES)),
      cutFrom: wasCut ? length : bytes.byteLength,
    };
  }

  #gather(more: Uint8Array): void {
    const before = this.#length;
    this.#length += more.byteLength;
    if (this.#cut) return;
    // One more than may be: it could be the CR of its end.
    if (this.#length > this.#maxBytes + 1) {
      this.#cut = true;
      const head = Buffer.alloc(Math.min(HEAD_BYTES, this.#length));
      this.#partial.copy(head, 0, 0, before);
      if (before < head.byteLength) head.set(more.subarray(0, head.byteLength - before), before);
      this.#replace(head);
      return;
    }
    if (this.#length > this.#partial.byteLength) {
      const grown = Math.max(FIRST_BYTES, this.#partial.byteLength * 2, this.#length);
      const larger = Buffer.allocUnsafeSlow(Math.min(grown, this.#maxBytes + 1));
      this.#partial.copy(larger, 0, 0, before);
      this.#replace(larger);
    }
    this.#partial.set(more, before);
  }

  #replace(partial: Buffer<ArrayBuffer>): void {
    const more = partial.byteLength - this.#partial.byteLength;
    if (more < 0) this.#budget.give(-more);
    else if (!this.#budget.take(more)) throw new Crowded("too many long lines are coming in");
    this.#partial = partial;
  }
}
