/** `Log` and what the ledger is fed from: the ring of what was just committed, else the reader's thread. */
import type { Appended } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Event, NewEvent, Seq } from "../../event.ts";
import type { Logger } from "../../ports.ts";
import type { Commit, Log } from "../journal.ts";
import type { Committer } from "./committer.ts";
import type { BacklogMarks, EventFeed, EventPage } from "./event-feed.ts";
import { DAMAGED_TYPE } from "./event-row.ts";
import type { LogQueries } from "./log-queries.ts";
import { unpackEvents } from "./packed-events.ts";
import type { Asked } from "./reader.ts";
import type { Ring } from "./ring.ts";

/** For `Reader.proxy`. */
export const LOG_QUERIES = [
  "read",
  "get",
  "load",
  "total",
  "mark",
  "seqBefore",
  "agedThrough",
  "seqAtTotal",
] as const;

export type AskedLog = Asked<Pick<LogQueries, (typeof LOG_QUERIES)[number]>>;

/** Events a page for a subscription holds at most. */
const PAGE_EVENTS = 500;

export class SqliteLog implements Log, EventFeed, BacklogMarks {
  /** Rows whose checksum was found wrong. */
  readonly damaged = new Set<Seq>();
  readonly #committer: Committer;
  readonly #ring: Ring;
  readonly #queries: AskedLog;
  readonly #log: Logger;

  constructor(committer: Committer, ring: Ring, queries: AskedLog, log: Logger) {
    this.#committer = committer;
    this.#ring = ring;
    this.#queries = queries;
    this.#log = log;
  }

  append(event: NewEvent, dedupeMs: number | null): Promise<Appended> {
    return this.#committer.append(event, dedupeMs);
  }

  async read(after: Seq, limit: number, sources?: readonly string[]): Promise<Event[]> {
    const wanted = sources === undefined ? null : new Set(sources);
    let place = after;
    while (place < this.#ring.newest) {
      const live = this.#ring.from(place + 1);
      const page =
        live === null
          ? await this.#page(place, limit, sources ?? null)
          : {
              events: (wanted === null ? live : live.filter(({ source }) => wanted.has(source))).slice(
                0,
                limit,
              ),
              through: live.at(-1)!.seq,
            };
      if (page.events.length > 0) return [...page.events];
      place = page.through;
    }
    return [];
  }

  async get(seq: Seq): Promise<Event | null> {
    const live = this.#ring.get(seq);
    if (live !== undefined) return live;
    const packed = await this.#queries.get(seq).catch((error: unknown) => {
      if (error instanceof LeatError && error.code === "damaged_row") this.#found(seq);
      throw error;
    });
    return packed === null ? null : (unpackEvents(packed)[0] ?? null);
  }

  bounds(): { oldest: Seq; newest: Seq } {
    const { newest } = this.#ring;
    return { oldest: Math.min(this.#committer.state.oldest, newest + 1), newest };
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    return this.#committer.onCommit(listener);
  }

  // ---------------------------------------------------------------------------------------------------- EventFeed

  newest(): Seq {
    return this.#ring.newest;
  }

  live(next: Seq): readonly Event[] | null {
    return this.#ring.from(next);
  }

  peek(seq: Seq): Event | undefined {
    return this.#ring.get(seq);
  }

  page(after: Seq, sources: readonly string[]): Promise<EventPage> {
    return this.#page(after, PAGE_EVENTS, sources);
  }

  async load(seqs: readonly Seq[]): Promise<readonly (Event | null)[]> {
    const found = unpackEvents(await this.#queries.load(seqs));
    for (const { type, seq } of found) if (type === DAMAGED_TYPE) this.#found(seq);
    const bySeq = new Map(found.map((event) => [event.seq, event]));
    return seqs.map((seq) => bySeq.get(seq) ?? null);
  }

  // ------------------------------------------------------------------------------------------------- BacklogMarks

  total(): Promise<number> {
    return this.#queries.total();
  }

  mark(seq: Seq): Promise<{ at: number; before: number } | null> {
    return this.#queries.mark(seq);
  }

  seqBefore(time: number): Promise<Seq> {
    return this.#queries.seqBefore(time);
  }

  agedThrough(after: Seq, time: number): Promise<Seq> {
    return this.#queries.agedThrough(after, time);
  }

  seqAtTotal(total: number): Promise<Seq> {
    return this.#queries.seqAtTotal(total);
  }

  /** From disk, and no further than what was reported committed, so that nobody is told of an event before its time. */
  async #page(after: Seq, limit: number, sources: readonly string[] | null): Promise<EventPage> {
    const { newest } = this.#ring;
    const { packed, through, damaged } = await this.#queries.read(after, limit, sources);
    for (const seq of damaged) this.#found(seq);
    const events = unpackEvents(packed);
    const last = events.at(-1);
    if (last === undefined || last.seq <= newest) return { events, through: Math.min(through, newest) };
    return { events: events.filter(({ seq }) => seq <= newest), through: Math.min(through, newest) };
  }

  #found(seq: Seq): void {
    if (this.damaged.has(seq)) return;
    this.damaged.add(seq);
    this.#log.error({ seq }, "an event is damaged on disk: its checksum is wrong");
  }
}
