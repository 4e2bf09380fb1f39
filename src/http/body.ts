/** Reading a request's body within bounds. */
import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * Why there is no body.
 * - `too_large`: it is longer than it may be; reading has stopped.
 * - `crowded`: others are being read that fill the memory set aside for bodies; a sender should come back.
 * - `aborted`: the client went away or took too long; there is nobody to answer.
 */
export type BodyFault = "too_large" | "crowded" | "aborted";

export type BodyResult =
  | { readonly body: Buffer; readonly fault: null }
  | {
      /** What had come by then. */
      readonly body: Buffer;
      readonly fault: BodyFault;
    };

/**
 * A bound on the memory that bodies take while they come in, over all requests that share it: a thousand slow senders
 * of large bodies can't fill the heap. Bodies that come in one piece, as nearly all do, don't count.
 */
export class BodyBudget {
  readonly #max: number;
  #used = 0;

  constructor(maxBytes: number) {
    this.#max = maxBytes;
  }

  take(bytes: number): boolean {
    if (this.#used + bytes > this.#max) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** Requests whose client waits for a `100 Continue` before it sends the body. */
const waiting = new WeakSet<IncomingMessage>();

/** To be called for a request with `Expect: 100-continue`: who wants the body asks for it, an early answer won't. */
export function expectContinue(request: IncomingMessage): void {
  waiting.add(request);
}

/** Tells a client that waits for it to send the body. */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  if (waiting.delete(request)) response.writeContinue();
}

const EMPTY = Buffer.alloc(0);

/**
 * The whole body, at most `maxBytes` of it. Never rejects. A body that came in one piece is a view on the parser's own
 * memory, good until it is dropped.
 */
export function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
  contentLength: number | null,
  budget: BodyBudget,
): Promise<BodyResult> {
  if (contentLength !== null && contentLength > maxBytes) {
    return Promise.resolve({ body: EMPTY, fault: "too_large" });
  }
  askForBody(request, response);
  return new Promise((resolve) => {
    // The one piece that nearly every body comes in; with a second one, copies of all of them.
    let only: Buffer | null = null;
    const pieces: Buffer[] = [];
    let size = 0;
    let counted = 0;

    const settle = (fault: BodyFault | null) => {
      request.removeListener("data", onData).removeListener("end", onEnd);
      request.removeListener("error", onAborted).removeListener("close", onAborted);
      budget.give(counted);
      if (fault !== null) {
        request.pause();
        // What comes after this has nobody to tell.
        request.on("error", ignore);
      }
      resolve({ body: only ?? (pieces.length > 0 ? Buffer.concat(pieces) : EMPTY), fault });
    };
    const gather = (piece: Buffer): boolean => {
      if (!budget.take(piece.byteLength)) return false;
      counted += piece.byteLength;
      // A view would keep the parser's whole 64 KiB.
      pieces.push(Buffer.from(piece));
      return true;
    };
    const onData = (piece: Buffer) => {
      size += piece.byteLength;
      if (size > maxBytes) {
        settle("too_large");
      } else if (size === piece.byteLength) {
        only = piece;
      } else {
        const first = only;
        only = null;
        if ((first !== null && !gather(first)) || !gather(piece)) settle("crowded");
      }
    };
    const onEnd = () => settle(null);
    const onAborted = () => settle("aborted");
    request.on("data", onData).on("end", onEnd).on("error", onAborted).on("close", onAborted);
  });
}

function ignore(): void {}
