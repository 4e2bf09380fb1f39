/**
 * Where subscriptions get events from: the ring of what was just committed, or the delivery's reader thread.
 * Implemented over `ring.ts` and `reader.ts`; an array stands in for it in tests.
 */
import type { Event, Seq } from "../../event.ts";

export interface EventPage {
  readonly events: readonly Event[];
  /** The page is complete up to here: nothing of these sources is missing at or below it. */
  readonly through: Seq;
}

export interface EventFeed {
  /** The last committed seq that was reported. */
  newest(): Seq;
  /** What the ring holds from exactly `next` on, contiguous; null when it doesn't hold `next`. */
  live(next: Seq): readonly Event[] | null;
  /** One event, if the ring holds it. */
  peek(seq: Seq): Event | undefined;
  /** Events of the named sources after `after`, at most a few MiB. */
  page(after: Seq, sources: readonly string[]): Promise<EventPage>;
  /** Events by seq, from the log or from the copies beside dead letters; null where there is neither. */
  load(seqs: readonly Seq[]): Promise<readonly (Event | null)[]>;
}

/** What bounds a backlog: where in the journal so many bytes, or a point in time, lie. */
export interface BacklogMarks {
  /** Bytes of all events ever appended, up to `newest`. */
  total(): Promise<number>;
  /** Of the first event at or after `seq`: when it was accepted, and the bytes before it. Null: there is none. */
  mark(seq: Seq): Promise<{ readonly at: number; readonly before: number } | null>;
  /** The last seq up to which everything was accepted before `time` (ms since 1970). */
  seqBefore(time: number): Promise<Seq>;
  /** The last seq up to which all behind `after` were accepted before `time`, of the next few thousand. */
  agedThrough(after: Seq, time: number): Promise<Seq>;
  /** The last seq up to which at most `total` bytes were ever appended. */
  seqAtTotal(total: number): Promise<Seq>;
}
