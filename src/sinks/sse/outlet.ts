/** A response that stays open, as a reader writes to it. */
import type { ServerResponse } from "node:http";
import type { Outlet } from "../stream/reader.ts";

/** A reader that takes nothing for so long is cut off; it comes back with its position and loses nothing. */
const STALLED_MS = 30_000;

export class ResponseOutlet implements Outlet {
  readonly #response: ServerResponse;

  /** `onStalled` is called once it was cut off for taking nothing. */
  constructor(response: ServerResponse, onStalled: () => void) {
    this.#response = response;
    // Node's socket time-out runs from the last byte that moved, also within one large write.
    response.setTimeout(STALLED_MS, () => {
      if (this.buffered() === 0 || response.destroyed) return;
      onStalled();
      response.destroy();
    });
  }

  send(chunk: Buffer): void {
    if (!this.#response.writableEnded && !this.#response.destroyed) this.#response.write(chunk);
  }

  buffered(): number {
    return this.#response.writableLength;
  }

  full(): boolean {
    return this.#response.writableNeedDrain;
  }

  async drained(): Promise<void> {
    const response = this.#response;
    if (!response.writableNeedDrain || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        response.off("drain", done);
        response.off("close", done);
        resolve();
      };
      response.on("drain", done);
      response.on("close", done);
    });
  }

  /** The last thing that is said. */
  end(chunk: Buffer): void {
    if (!this.#response.writableEnded) this.#response.end(chunk);
  }

  destroy(): void {
    this.#response.destroy();
  }
}
