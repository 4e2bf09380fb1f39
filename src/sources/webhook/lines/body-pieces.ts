/**
 * A request's body as it comes, unpacked, one piece at a time and only when asked: while nobody asks nothing is read, and
 * the sender feels it by TCP.
 */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { createUnpacker, HARMLESS_BYTES, type Unpacker } from "../unpack.ts";

/**
 * Why there is no more.
 * - `end`: that was all of it.
 * - `aborted`: the connection broke before.
 * - `malformed`: it doesn't unpack by its content-encoding.
 * - `too_large`: it is over a bound.
 */
export type BodyEnd = "end" | "aborted" | "malformed" | "too_large";

export interface PieceBounds {
  /** Bytes in all, unpacked; null: no bound. */
  readonly max: number | null;
  /** How many times larger than it came it may become by unpacking. */
  readonly ratio: number;
}

/** `Cut`: words of the caller's, for who waits in `next` when it ends the reading from outside. */
export class BodyPieces<Cut extends string> {
  readonly #request: IncomingMessage;
  readonly #bounds: PieceBounds;
  readonly #unpacker: Unpacker | null;
  readonly #body: Readable;
  #bytes = 0;
  #over: BodyEnd | Cut | null;
  #asker: ((piece: Uint8Array | BodyEnd | Cut) => void) | null = null;

  /** `encoding`: null, or one that `isEncoding` knows. */
  constructor(request: IncomingMessage, encoding: string | null, bounds: PieceBounds) {
    this.#request = request;
    this.#bounds = bounds;
    this.#over = request.destroyed ? "aborted" : null;
    this.#unpacker = encoding === null ? null : createUnpacker(encoding);
    request.on("error", this.#onAborted).on("close", this.#onAborted);
    this.#body = this.#unpacker === null ? request : request.pipe(this.#unpacker);
    this.#body.on("data", this.#onData).on("end", this.#onEnd);
    this.#unpacker?.on("error", this.#onMalformed);
    this.#body.pause();
  }

  /** The next piece, or why there is none. One asks at a time. */
  next(): Promise<Uint8Array | BodyEnd | Cut> {
    if (this.#over !== null) return Promise.resolve(this.#over);
    return new Promise((resolve) => {
      this.#asker = resolve;
      this.#body.resume();
    });
  }

  /** Ends it from outside, unless it is over: whoever waits gets the word. */
  cut(why: Cut): void {
    this.#finish(why);
  }

  /** Lets go of the request, which is paused if there is more of it. */
  close(): void {
    this.#finish("aborted");
    const request = this.#request;
    this.#body.off("data", this.#onData).off("end", this.#onEnd);
    request.off("error", this.#onAborted).off("close", this.#onAborted);
    // What comes after this has nobody to tell.
    request.on("error", ignore);
    if (this.#unpacker !== null) {
      request.unpipe(this.#unpacker);
      this.#unpacker.destroy();
    }
    if (!request.complete) request.pause();
  }

  readonly #onData = (piece: Uint8Array) => {
    this.#body.pause();
    this.#bytes += piece.byteLength;
    if (this.#isTooLarge()) this.#finish("too_large");
    else this.#answer(piece);
  };

  readonly #onEnd = () => {
    // An unpacker is at its end where what is packed is, though something else may come behind it.
    this.#finish(this.#request.readableEnded ? "end" : "malformed");
  };
  readonly #onMalformed = () => this.#finish("malformed");
  readonly #onAborted = () => {
    // It is closed after its end too, and what it brought may still be unpacked. Not `complete`: what the parser has and
    // nobody has read goes with the connection.
    if (!this.#request.readableEnded) this.#finish("aborted");
  };

  #isTooLarge(): boolean {
    const { max, ratio } = this.#bounds;
    if (max !== null && this.#bytes > max) return true;
    if (this.#unpacker === null) return false;
    return this.#bytes > Math.max(HARMLESS_BYTES, this.#unpacker.bytesWritten * ratio);
  }

  #finish(over: BodyEnd | Cut): void {
    this.#over ??= over;
    this.#answer(this.#over);
  }

  #answer(piece: Uint8Array | BodyEnd | Cut): void {
    const asker = this.#asker;
    this.#asker = null;
    asker?.(piece);
  }
}

function ignore(): void {}
