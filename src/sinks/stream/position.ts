/** Where a reader left off, as it says, and where it goes on from. Pure. */
import type { Seq } from "../../event.ts";

/** `null`: it names no position. A string: what it named is none. */
export type Asked = Seq | string | null;

/** What a reader is told when it can't be given everything after the position it asked for. */
export interface Gap {
  readonly asked: Seq | string;
  /** After it nothing is missing, up to `newest`. */
  readonly oldest: Seq;
  readonly newest: Seq;
}

export interface Known {
  /** The lowest position from which nothing is missing. */
  readonly oldest: Seq;
  /** The last seq that was published or indexed; 0: nothing is known of this stream. */
  readonly newest: Seq;
  /** The last seq committed by the journal. What was handed out live may be above `newest` after a crash, never above this. */
  readonly committed: Seq;
  /** Where one goes on who is ahead of all that; absent: from `oldest`. */
  readonly afresh?: Seq;
}

/** Of a malformed position so much is told back. */
const ECHOED = 64;

/**
 * Reads a position. The header wins over the query: a browser that reconnects repeats the URL it began with, and a
 * stale position there would send the whole backlog again each time. (`lastEventId` is what polyfills send.)
 */
export function askedPosition(header: string | undefined, query: URLSearchParams): Asked {
  const text = header || query.get("last_event_id") || query.get("lastEventId") || query.get("since") || null;
  if (text === null) return null;
  const seq = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(seq) ? seq : text.slice(0, ECHOED);
}

/**
 * Where a reader goes on from that asked for `asked`, and the gap it must hear of, if any. A position above all that was
 * ever handed out is one of a journal that was there before a backup was put back: the reader may know none of what has
 * come since, so it gets all that is held.
 */
export function resolvePosition(asked: Seq | string, known: Known): { position: Seq; gap: Gap | null } {
  const { oldest, newest, committed, afresh = oldest } = known;
  const gap = { asked, oldest, newest };
  if (typeof asked === "string") return { position: newest, gap };
  if (asked < oldest) return { position: oldest, gap };
  if (asked > Math.max(newest, committed)) return { position: Math.max(oldest, afresh), gap };
  const unknown = newest === 0 && asked > 0;
  if (unknown) return { position: newest, gap };
  return { position: asked, gap: null };
}
