/**
 * The reading side that all streams share: what is published goes to the readers that are there, what is past comes from
 * the history, and memory is bounded whatever they do. What goes over the wire is for each kind of stream to say: how a
 * group of frames is written (`encode`), and what isn't a frame (`signals`).
 */
import type { StreamFrame, StreamHistory } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { SlowPolicy } from "./backlog.ts";
import { Feed } from "./feed.ts";
import { newCounters, type StreamCounters } from "./metrics.ts";
import { Pages } from "./pages.ts";
import { type Asked, type Gap, resolvePosition } from "./position.ts";
import { Reader, type ReaderOptions, type Reading, type Signals } from "./reader.ts";
import { Turn } from "./turn.ts";
import { Wheel } from "./wheel.ts";

/** What all readers together may leave waiting in memory, as far as the least bound of each allows. */
const TOTAL_BUFFER = 128 * 1024 * 1024;

/** Node tells a writer to wait from here on; a lower bound of ours would mean nothing. */
const LEAST_BUFFER = 64 * 1024;

/** Within the longest time that something may wait, a full outlet is looked at so often. */
const LOOKS = 4;

export interface BroadcastOptions {
  readonly encode: (seq: Seq, frames: readonly StreamFrame[]) => Buffer;
  readonly signals: Signals;
  readonly history: StreamHistory;
  /** The last seq that the journal committed. */
  readonly committed: () => Seq;
  /** Where a reader begins that names no position, at most where it is now; absent: there. */
  readonly begin?: () => Promise<Seq>;
  /** As `Known.afresh`. */
  readonly afresh?: () => Seq;
  /** Bytes that may wait for one reader; less where there are many. */
  readonly maxBuffer: number;
  /** How long anything may wait for one reader, in ms. */
  readonly maxDelayMs: number;
  readonly slow: (channel: string) => SlowPolicy;
  readonly clock: Clock;
}

export class Broadcast {
  readonly counters: StreamCounters = newCounters();
  readonly feed: Feed;
  readonly #options: BroadcastOptions;
  readonly #reading: Reading;

  /** `connections`: how many there are now, to share what may wait in memory. */
  constructor(options: BroadcastOptions, connections: () => number) {
    const { encode, history, signals, clock, slow, maxBuffer, maxDelayMs } = options;
    this.#options = options;
    this.feed = new Feed(encode);
    const bounds = {
      age: maxDelayMs,
      get bytes() {
        return Math.max(LEAST_BUFFER, Math.min(maxBuffer, TOTAL_BUFFER / Math.max(1, connections())));
      },
    };
    this.#reading = {
      feed: this.feed,
      pages: new Pages(history, encode),
      turn: new Turn(clock),
      signals,
      counters: this.counters,
      clock,
      bounds,
      slow,
      clogged: new Wheel(clock, maxDelayMs / LOOKS, (reader) => reader.look()),
    };
  }

  /** Begins where the history ends. */
  async start(): Promise<void> {
    this.feed.advance((await this.#options.history.bounds()).newest);
  }

  /** A reader of some channels from `position` on; begins with its `start`. */
  reader(options: ReaderOptions): Reader {
    return new Reader(this.#reading, options);
  }

  /** Where a reader goes on that asks for this, and the gap it must hear of, if any. */
  async resolve(asked: Asked): Promise<{ position: Seq; gap: Gap | null }> {
    const { history, committed, begin, afresh } = this.#options;
    if (asked === null && !begin) return { position: this.feed.published, gap: null };
    const since = asked === null && begin ? await begin() : 0;
    const bounds = await history.bounds();
    if (asked === null) {
      return { position: Math.min(Math.max(since, bounds.oldest), this.feed.published), gap: null };
    }
    const newest = Math.max(bounds.newest, this.feed.published);
    const known = { oldest: bounds.oldest, newest, committed: committed() };
    const resolved = resolvePosition(asked, afresh ? { ...known, afresh: afresh() } : known);
    if (resolved.gap) this.counters.gaps++;
    return resolved;
  }

  /** Where one begins who asks for nothing; 0: only the history knows. */
  get present(): Seq {
    return this.#options.begin ? 0 : this.feed.published;
  }
}
