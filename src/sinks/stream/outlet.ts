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

/** Of a handle of Node's: undocumented, and all that tells a socket's descriptor. */
interface Handle {
  /** Absent, or negative, where there is none (Windows). */
  readonly fd?: number;
}

export class SocketOutlet implements Outlet {
  readonly #socket: Writable & { readonly _handle?: Handle | null };
  readonly #handle: Handle | null;
  readonly #descriptor: number;

  constructor(socket: Writable) {
    this.#socket = socket;
    // A socket, and not what inherits from it: what TLS is given is yet to be encrypted.
    this.#handle = socket.constructor === Socket ? (this.#socket._handle ?? null) : null;
    this.#descriptor = this.#handle?.fd ?? -1;
  }

  prefetch(): void {
    this.#direct();
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
   * Hands the kernel what the stream would hand it now, without what the stream does around that for each reader. Returns
   * how many bytes it took; what keeps it from taking more the stream finds out.
   */
  #write(chunk: Buffer): number {
    if (!this.#direct()) return 0;
    try {
      return writeSync(this.#descriptor, chunk);
    } catch {
      return 0;
    }
  }

  /**
   * The stream keeps nothing that has to go first, and the descriptor is still the socket's: with its handle a socket gives
   * it up in the moment of its closing, and it may be another file's in the next.
   */
  #direct(): boolean {
    const socket = this.#socket;
    return (
      this.#descriptor >= 0 &&
      socket._handle === this.#handle &&
      socket.writable &&
      socket.writableLength === 0
    );
  }
}
