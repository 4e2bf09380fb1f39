/**
 * One connected reader: from its position through the index to the live feed, without a gap and without a repeat.
 *
 *          ┌── page ◄── the ring doesn't reach back to its position
 *   start ─┴──► join ──► live ──► over its bound: waits until its buffer is empty, then pages from where it is
 *                          └──► may miss some (backlog.ts): what comes while its buffer is full waits, within a bound
 *
 * It holds `position`: it was given everything up to there. While it is live that is the feed's `published`. What it is
 * given lies in its outlet in order, so a heartbeat's id covers exactly what lies before it.
 */
import type { ChannelSelection } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import { Backlog, type BacklogBounds, type Dropped, type SlowPolicy } from "./backlog.ts";
import type { Feed, Follower, Group } from "./feed.ts";
import type { StreamCounters } from "./metrics.ts";
import type { Outlet } from "./outlet.ts";
import type { Pages } from "./pages.ts";
import type { Gap } from "./position.ts";
import type { Run, Turn } from "./turn.ts";
import type { Wheel } from "./wheel.ts";

/** How this kind of stream says what isn't an event. */
export interface Signals {
  gap(gap: Gap, position: Seq): Buffer;
  /** What it missed by a channel's policy, before what comes next; at least one. */
  dropped(dropped: readonly Dropped[]): Buffer;
}

/** What all readers of a stream share. */
export interface Reading {
  readonly feed: Feed;
  readonly pages: Pages;
  readonly turn: Turn;
  readonly signals: Signals;
  readonly counters: StreamCounters;
  readonly clock: Clock;
  /** What waits for one reader at most; `bytes` may change as readers come and go. */
  readonly bounds: BacklogBounds;
  slow(channel: string): SlowPolicy;
  /** Visits, several times within `bounds.age`, those whose outlet is full. */
  readonly clogged: Wheel<Reader>;
}

/** Whose connection it is. */
export interface ReaderOwner {
  /** Its outlet has been full for `bounds.age`: to be closed. It comes back with its position and loses nothing. */
  tooSlow(): void;
  /** It is live, perhaps not for the first time. */
  caughtUp?(): void;
  /** A defect of ours: one reader is lost, nothing else. */
  failed(error: unknown): void;
}

export interface ReaderOptions {
  readonly selection: ChannelSelection;
  readonly position: Seq;
  readonly outlet: Outlet;
  readonly owner: ReaderOwner;
}

/** The index is behind the feed's ring (its disk is full, say): it is asked again so much later. */
const BEHIND_MS = 50;

export class Reader implements Follower {
  readonly #reading: Reading;
  readonly #outlet: Outlet;
  #position: Seq;
  #live = false;
  #closed = false;
  /** What it is given in this turn. */
  #run: Run | null = null;
  /** What waits until its outlet is empty again, while it may miss some; null: nothing does. */
  #backlog: Backlog | null = null;
  // From here on what isn't needed for each message: the above lies together in memory.
  readonly #owner: ReaderOwner;
  #selection: ChannelSelection;
  /** Since when its outlet is full, monotonic; null: it isn't. */
  #cloggedAt: number | null = null;
  /** Something lapsed while it was there, be it before anything else came. */
  #missed = false;
  #wake: (() => void) | null = null;

  constructor(reading: Reading, { selection, position, outlet, owner }: ReaderOptions) {
    this.#reading = reading;
    this.#selection = selection;
    this.#position = position;
    this.#outlet = outlet;
    this.#owner = owner;
  }

  get selection(): ChannelSelection {
    return this.#selection;
  }

  /** It is handed events as they come. */
  get live(): boolean {
    return this.#live;
  }

  /** Goes on from where it is with other channels: some were taken from it. */
  select(selection: ChannelSelection): void {
    if (this.#closed) return;
    this.#reading.feed.leave(this);
    this.#selection = selection;
    if (this.#live) this.fallBack();
  }

  /** Everything up to here lies in its outlet. */
  get position(): Seq {
    if (this.#backlog !== null) return this.#backlog.position;
    return this.#live ? Math.max(this.#position, this.#reading.feed.published) : this.#position;
  }

  /** Runs until the reader is live, and again each time it falls out. */
  start(): void {
    this.#catchUp().catch((error: unknown) => this.#owner.failed(error));
  }

  async #catchUp(): Promise<void> {
    const { feed, pages } = this.#reading;
    for (;;) {
      await this.#outlet.drained();
      if (this.#closed) return;
      if ((this.#live = feed.join(this, this.#position))) {
        this.#owner.caughtUp?.();
        return;
      }
      this.flush();
      if (this.#outlet.full()) continue;
      const selection = this.#selection;
      const page = await pages.read(this.#position, selection);
      if (this.#closed) return;
      if (selection !== this.#selection) continue;
      if (page.oldest > this.#position) this.#overtaken(page.oldest);
      else if (page.through > this.#position) {
        this.#position = page.through;
        this.#send(page.chunk, page.frames);
      } else if (this.#position < feed.published) await this.#pause();
    }
  }

  prefetch(): void {
    this.#outlet.prefetch();
  }

  receive(group: Group, matched: readonly number[]): boolean {
    // Ahead of the feed: a repeat after a crash of what it was given before.
    if (group.seq <= this.#position) return true;
    const { counters, turn, bounds } = this.#reading;
    if (this.#backlog !== null) return this.#queue(this.#backlog, group, matched);
    if (this.#run === null && this.#live && this.#outlet.full() && this.#mayMissSome(group, matched)) {
      this.#backlog = new Backlog(this.#position, (channel) => this.#reading.slow(channel));
      this.#unclog().catch((error: unknown) => this.#owner.failed(error));
      return this.#queue(this.#backlog, group, matched);
    }
    this.#position = group.seq;
    counters.frames += matched.length;
    const chunk = group.chunk(matched);
    if (this.#run === null && turn.single(group)) {
      if (this.#put(chunk)) return true;
    } else {
      if (this.#run === null) turn.add(this);
      this.#run = (this.#run ?? turn.start).with(chunk);
    }
    if ((this.#run?.size ?? 0) + this.#outlet.buffered() <= bounds.bytes) return true;
    this.flush();
    // From here on what comes waits in its backlog.
    if (this.#live && this.#mayMissSome(group, matched)) return true;
    counters.stalled++;
    this.#fallOut();
    return false;
  }

  fallBack(lapsed = false): void {
    this.#position = this.position;
    this.#missed ||= lapsed;
    this.#backlog = null;
    this.#live = false;
    this.start();
  }

  /** Writes what it was given in this turn. */
  flush(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    if (!this.#closed) this.#put(run.bytes());
  }

  /**
   * Tells it something beside events, such as its position (0: not known); not one who has yet to take what came before.
   */
  tell(make: (position: Seq) => Buffer): void {
    if (this.#closed || this.#outlet.full() || this.#backlog !== null) return;
    this.#send(make(this.position), 0);
  }

  /** Its turn on the wheel of those whose outlet is full. */
  look(): void {
    const { clock, bounds } = this.#reading;
    if (this.#cloggedAt === null || clock.monotonic() - this.#cloggedAt < bounds.age) return;
    this.#reading.counters.closed++;
    this.#owner.tooSlow();
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    this.#live = false;
    this.#backlog = null;
    this.#reading.feed.leave(this);
    this.#reading.clogged.delete(this);
    this.#wake?.();
  }

  // ----------------------------------------------------------------------------------------------- one that is slow

  #mayMissSome({ frames }: Group, matched: readonly number[]): boolean {
    return matched.some((n) => this.#reading.slow(frames[n]?.channel ?? "") !== "close");
  }

  #queue(backlog: Backlog, group: Group, matched: readonly number[]): boolean {
    const { clock, bounds, counters } = this.#reading;
    this.#position = group.seq;
    if (backlog.push(group, matched, clock.monotonic(), bounds)) return true;
    counters.stalled++;
    // What it isn't given from here it is given from the index, and so misses none of that.
    this.#position = backlog.position;
    this.#backlog = null;
    this.#fallOut();
    return false;
  }

  /** Gives what waits, as its outlet takes it. */
  async #unclog(): Promise<void> {
    const { clock, bounds, counters, signals } = this.#reading;
    for (let backlog = this.#backlog; backlog !== null; backlog = this.#backlog) {
      await this.#outlet.drained();
      if (this.#closed || this.#backlog !== backlog) return;
      while (!this.#outlet.full()) {
        const next = backlog.take(clock.monotonic(), bounds);
        const dropped = backlog.told();
        if (dropped.length > 0) {
          for (const { count } of dropped) counters.dropped += count;
          this.#send(signals.dropped(dropped), 0);
        }
        if (next === null) {
          this.#backlog = null;
          return;
        }
        this.#send(next.group.chunk(next.matched), next.matched.length);
      }
    }
  }

  #fallOut(): void {
    // On its way into the feed `catchUp` is there to go on.
    if (!this.#live) return;
    this.#live = false;
    this.start();
  }

  /**
   * What lies between its position and `oldest` isn't there: retention removed it, or it expired. One that came when the
   * stream had nothing at all (position 0) misses nothing.
   */
  #overtaken(oldest: Seq): void {
    const { signals, counters, feed } = this.#reading;
    if (this.#position === 0 && !this.#missed) {
      this.#position = oldest;
      return;
    }
    counters.gaps++;
    const gap: Gap = { asked: this.#position, oldest, newest: Math.max(oldest, feed.published) };
    this.#position = oldest;
    this.#send(signals.gap(gap, oldest), 0);
  }

  #send(chunk: Buffer, frames: number): void {
    if (chunk.byteLength === 0) return;
    this.flush();
    this.#put(chunk);
    this.#reading.counters.frames += frames;
  }

  /** False: its outlet takes no more now. */
  #put(chunk: Buffer): boolean {
    const { counters, clock, clogged } = this.#reading;
    counters.bytes += chunk.byteLength;
    if (this.#outlet.send(chunk)) return true;
    if (this.#cloggedAt !== null || !this.#outlet.full()) return false;
    this.#cloggedAt = clock.monotonic();
    clogged.add(this);
    void this.#outlet.drained().then(() => {
      this.#cloggedAt = null;
      clogged.delete(this);
    });
    return false;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#reading.clock.after(BEHIND_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
