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
  #endsWithCr = false;

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
    this.#endsWithCr = false;
  }

  #whole(rest: Uint8Array): Line {
    let [bytes, length] = [rest, rest.byteLength];
    if (this.#length > 0) {
      this.#gather(rest);
      length = this.#length;
      // A copy: the memory is given back.
      bytes = Uint8Array.from(this.#partial.subarray(0, length));
    }
    const endsWithCr = rest.byteLength > 0 ? rest.at(-1) === CR : this.#endsWithCr;
    this.close();
    if (endsWithCr) length--;
    if (length <= this.#maxBytes) return { bytes: bytes.subarray(0, length), cutFrom: null };
    return { bytes: Uint8Array.from(bytes.subarray(0, Math.min(HEAD_BYTES, length))), cutFrom: length };
  }

  #gather(more: Uint8Array): void {
    if (more.byteLength === 0) return;
    const before = this.#length;
    this.#length += more.byteLength;
    this.#endsWithCr = more.at(-1) === CR;
    // One more than may be: it could be the CR of its end.
    if (!this.#cut && this.#length > this.#maxBytes + 1) {
      this.#cut = true;
      this.#grow(HEAD_BYTES, before);
    } else if (!this.#cut && this.#length > this.#partial.byteLength) {
      const grown = Math.max(FIRST_BYTES, this.#partial.byteLength * 2, this.#length);
      this.#grow(Math.min(grown, this.#maxBytes + 1), before);
    }
    const room = this.#partial.byteLength - before;
    if (room > 0) this.#partial.set(more.subarray(0, room), before);
  }

  /** Of `used` bytes of the old memory as many are kept as the new one has. */
  #grow(bytes: number, used: number): void {
    const more = bytes - this.#partial.byteLength;
    if (more < 0) this.#budget.give(-more);
    else if (!this.#budget.take(more)) throw new Crowded("too many long lines are coming in");
    const partial = Buffer.allocUnsafeSlow(bytes);
    this.#partial.copy(partial, 0, 0, used);
    this.#partial = partial;
  }
}
