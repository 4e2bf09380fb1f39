/**
 * What one client has said and nobody has taken yet: one message after another. While that must wait (the client is being
 * judged, too much of what it published isn't on disk yet, it says more than its rate, or takes no answers) nothing more is
 * read from its socket.
 */
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import { TokenBucket } from "../../token-bucket.ts";
import type { Outlet } from "../stream/outlet.ts";
import { TOO_MUCH } from "./close.ts";
import type { Line } from "./line.ts";

/** Publications of one client that may wait for the disk at once. */
const MOST_APPENDING = 32;

/**
 * Bytes of what one client has said and must wait, beyond two messages. That is what was read of its socket before it was
 * paused, some 64 KiB; only what comes compressed, up to a thousand times smaller, can be more.
 */
const MOST_WAITING = 2 ** 20;

export interface InboxOptions {
  readonly line: Line;
  readonly outlet: Outlet;
  readonly socket: Socket;
  readonly webSocket: WebSocket;
  /** Its turn has come. */
  readonly take: (text: string) => void;
}

export class Inbox {
  readonly #line: Line;
  readonly #outlet: Outlet;
  readonly #socket: Socket;
  readonly #webSocket: WebSocket;
  readonly #take: (text: string) => void;
  #texts: string[] = [];
  #bytes = 0;
  #held = false;
  #appending = 0;
  /** Ends its wait for its rate, or for the socket to take what it was told; null: it waits for neither. */
  #endWait: (() => void) | null = null;
  #rate: TokenBucket | null = null;

  constructor({ line, outlet, socket, webSocket, take }: InboxOptions) {
    this.#line = line;
    this.#outlet = outlet;
    this.#socket = socket;
    this.#webSocket = webSocket;
    this.#take = take;
  }

  /** Text, as its frame was checked. */
  receive(data: Buffer): void {
    this.#texts.push(data.toString());
    this.#bytes += data.byteLength;
    this.work();
    if (this.#bytes > 2 * this.#line.common.maxMessageBytes + MOST_WAITING) this.#line.close(TOO_MUCH);
  }

  /** Takes what has come as far as nothing has to be waited for. */
  work(): void {
    const line = this.#line;
    this.#socket.cork();
    while (this.#texts.length > 0 && !line.closing && !this.#mustWait()) {
      const text = this.#texts.shift() as string;
      this.#bytes = this.#texts.length === 0 ? 0 : this.#bytes - Buffer.byteLength(text);
      this.#take(text);
    }
    this.#socket.uncork();
    if (line.closing) return;
    const paused = this.#texts.length > 0 || this.#mustWait();
    if (paused && !this.#webSocket.isPaused) this.#webSocket.pause();
    else if (!paused && this.#webSocket.isPaused) this.#webSocket.resume();
  }

  /** Takes nothing more until `release`. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
  }

  get held(): boolean {
    return this.#held;
  }

  /** Something more of it waits for the disk. */
  appending(): void {
    this.#appending++;
  }

  appended(): void {
    const waited = this.#appending-- >= MOST_APPENDING;
    if (waited) this.work();
  }

  /** Against its rate. */
  count(): void {
    const { clock, messageRate } = this.#line.common;
    this.#rate ??= TokenBucket.ofSource(messageRate, clock.monotonic());
    this.#rate.take();
  }

  /** What nobody has taken; then it is empty. */
  rest(): readonly string[] {
    return this.#texts.splice(0);
  }

  close(): void {
    this.#texts = [];
    this.#endWait?.();
  }

  #mustWait(): boolean {
    if (this.#held || this.#endWait !== null || this.#appending >= MOST_APPENDING) return true;
    if (this.#outlet.full()) {
      this.#waitForRoom();
      return true;
    }
    const waitMs = this.#rate?.waitMs(this.#line.common.clock.monotonic()) ?? 0;
    if (waitMs > 0) this.#waitFor(waitMs);
    return waitMs > 0;
  }

  #waitForRoom(): void {
    let over = false;
    this.#endWait = () => {
      over = true;
      this.#endWait = null;
    };
    void this.#outlet.drained().then(() => {
      if (over) return;
      this.#endWait = null;
      this.work();
    });
  }

  #waitFor(ms: number): void {
    const cancel = this.#line.common.clock.after(ms, () => {
      this.#endWait = null;
      this.work();
    });
    this.#endWait = () => {
      cancel();
      this.#endWait = null;
    };
  }
}
