/** What a reader writes to: the socket itself, past whatever protocol opened it, so that what is sent to many is made once. */
import { writeSync } from "node:fs";
import { Socket } from "node:net";
import type { Writable } from "node:stream";
import type { Prefetched } from "./prefetch.ts";

export interface Outlet extends Prefetched {
  /**
   * Takes bytes, in order; keeps them until the kernel does. Nothing happens once it is closed. False: it has to wait for
   * `drained`, or is closed.
   */
  send(chunk: Buffer): boolean;
  /** Bytes it keeps. */
  buffered(): number;
  /** Whether it has been told to wait for `drained`. */
  full(): boolean;
  /** Resolves when it keeps nothing any more, or is closed. */
  drained(): Promise<void>;
}

/** No descriptor: bytes go to the stream. */
const NONE = -1;

export class SocketOutlet implements Outlet {
  readonly #socket: Writable;
  /** Its bytes go over the wire as they are. */
  readonly #plain: boolean;

  constructor(socket: Writable) {
    this.#socket = socket;
    // Not those who inherit from it: what TLS is given is yet to be encrypted.
    this.#plain = socket.constructor === Socket;
  }

  prefetch(): void {
    this.#descriptor();
  }

  send(chunk: Buffer): boolean {
    const taken = this.#write(chunk);
    if (taken === chunk.byteLength) return true;
    const socket = this.#socket;
    return socket.writable && socket.write(taken === 0 ? chunk : chunk.subarray(taken));
  }

  buffered(): number {
    return this.#socket.writableLength;
  }

  full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  drained(): Promise<void> {
    const socket = this.#socket;
    if (!socket.writableNeedDrain || socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        socket.off("drain", done);
        socket.off("close", done);
        resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
  }

  /**
   * Hands the kernel what the stream would hand it now: what the stream does around that costs as much as all else that is
   * done for a reader. Returns how many bytes it took; what keeps it from taking more the stream finds out.
   */
  #write(chunk: Buffer): number {
    // Asked for each time: the number of one that was closed may be another file's.
    const descriptor = this.#descriptor();
    if (descriptor === NONE) return 0;
    try {
      return writeSync(descriptor, chunk);
    } catch {
      return 0;
    }
  }

  /** Of the socket's handle, which gives it up in closing; `NONE` too where handles have none (Windows). */
  #descriptor(): number {
    const socket = this.#socket;
    if (!this.#plain || !socket.writable || socket.writableLength > 0) return NONE;
    return (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? NONE;
  }
}
