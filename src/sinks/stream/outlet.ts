/** What a reader writes to: the socket itself, past whatever protocol opened it, so that what is sent to many is made once. */
import type { Writable } from "node:stream";

export interface Outlet {
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

export class SocketOutlet implements Outlet {
  readonly #socket: Writable;

  constructor(socket: Writable) {
    this.#socket = socket;
  }

  send(chunk: Buffer): boolean {
    return this.#socket.writable && this.#socket.write(chunk);
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
}
