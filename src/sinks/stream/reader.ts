/**
 * One connected reader: from its position through the index to the live feed, without a gap and without a repeat.
 *
 *          ┌── page ◄── the ring doesn't reach back to its position
 *   start ─┴──► join ──► live ──► over its bound: waits until its buffer is empty, then pages from where it is
 *
 * It holds `position`: it was given everything up to there. While it is live that is the feed's `published`. What it is
 * given lies in its outlet in order, so a heartbeat's id covers exactly what lies before it.
 */
import type { ChannelSelection } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import { compileSelection } from "./channels.ts";
import type { Feed, Follower, Group } from "./feed.ts";
import type { StreamCounters } from "./metrics.ts";
import type { Pages } from "./pages.ts";
import type { Gap } from "./position.ts";

/** What a reader writes to: a response, a socket. */
export interface Outlet {
  /** Takes bytes, in order; keeps them until the kernel does. Nothing happens once it is closed. */
  send(chunk: Buffer): void;
  /** Bytes it keeps. */
  buffered(): number;
  /** Whether it has been told to wait for `drained`. */
  full(): boolean;
  /** Resolves when it can take more, or is closed. */
  drained(): Promise<void>;
}

/** How this kind of stream says what isn't an event. */
export interface Signals {
  /** 0: the position isn't known. */
  heartbeat(position: Seq): Buffer;
  gap(gap: Gap, position: Seq): Buffer;
}

export interface ReaderOptions {
  readonly selection: ChannelSelection;
  readonly position: Seq;
  readonly outlet: Outlet;
  readonly feed: Feed;
  readonly pages: Pages;
  readonly signals: Signals;
  readonly counters: StreamCounters;
  readonly clock: Clock;
  /** Bytes that may wait in its outlet before it is fed from the index; may change as readers come and go. */
  readonly bound: () => number;
  /** What its owner does about a defect of ours: one reader is lost, nothing else. */
  readonly onDefect: (error: unknown) => void;
}

/** The index is behind the feed's ring (its disk is full, say): it is asked again so much later. */
const BEHIND_MS = 50;

export class Reader implements Follower {
  readonly selection: ChannelSelection;
  readonly wants: (channel: string) => boolean;
  readonly #options: ReaderOptions;
  #position: Seq;
  #live = false;
  #closed = false;
  #wake: (() => void) | null = null;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.selection = options.selection;
    this.wants = compileSelection(options.selection);
    this.#position = options.position;
  }

  /** Everything up to here lies in its outlet. */
  get position(): Seq {
    return this.#live ? Math.max(this.#position, this.#options.feed.published) : this.#position;
  }

  /** Runs until the reader is live, and again each time it falls out. */
  start(): void {
    this.#catchUp().catch(this.#options.onDefect);
  }

  async #catchUp(): Promise<void> {
    const { feed, outlet, pages } = this.#options;
    for (;;) {
      await outlet.drained();
      if (this.#closed) return;
      if ((this.#live = feed.join(this, this.#position))) return;
      if (outlet.full()) continue;
      const page = await pages.read(this.#position, this.selection);
      if (this.#closed) return;
      if (page.oldest > this.#position) this.#overtaken(page.oldest);
      else if (page.through > this.#position) {
        this.#position = page.through;
        this.#send(page.chunk, page.frames);
      } else if (this.#position < feed.published) await this.#pause();
    }
  }

  receive(group: Group, matched: readonly number[]): boolean {
    // Ahead of the feed: a repeat after a crash of what it was given before.
    if (group.seq <= this.#position) return true;
    const { outlet, counters, bound } = this.#options;
    this.#position = group.seq;
    this.#send(group.chunk(matched), matched.length);
    if (outlet.buffered() <= bound()) return true;
    counters.stalled++;
    if (this.#live) {
      this.#live = false;
      this.start();
    }
    return false;
  }

  fallBack(): void {
    this.#position = this.position;
    this.#live = false;
    this.start();
  }

  /** Tells its position; not to one who has yet to take what came before. */
  heartbeat(): void {
    const { outlet, signals } = this.#options;
    if (!this.#closed && !outlet.full()) this.#send(signals.heartbeat(this.position), 0);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#live = false;
    this.#options.feed.leave(this);
    this.#wake?.();
  }

  /**
   * Retention removed what lies between its position and `oldest`. One that came when the stream had nothing at all
   * (position 0) misses nothing.
   */
  #overtaken(oldest: Seq): void {
    const { signals, counters, feed } = this.#options;
    if (this.#position === 0) {
      this.#position = oldest;
      return;
    }
    counters.gaps++;
    const gap: Gap = { asked: this.#position, oldest, newest: Math.max(oldest, feed.published) };
    this.#position = oldest;
    this.#send(signals.gap(gap, oldest), 0);
  }

  #send(chunk: Buffer, frames: number): void {
    const { outlet, counters } = this.#options;
    if (chunk.byteLength === 0) return;
    outlet.send(chunk);
    counters.frames += frames;
    counters.bytes += chunk.byteLength;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(BEHIND_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
