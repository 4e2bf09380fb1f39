/** What a stream's index can answer for, and how that moves. Pure: the projections' thread and the main thread both keep it. */
import type { Seq } from "../../event.ts";
import type { StreamPlace } from "../journal.ts";

/** What is written to a stream beside frames. */
export type PlaceMove =
  /** What lies after `after` and up to `through` isn't there now, and will be filled. */
  | { readonly stream: string; readonly move: "lack"; readonly after: Seq; readonly through: Seq }
  /** As `lack`, of what there isn't up to `through`. */
  | { readonly stream: string; readonly move: "owe"; readonly through: Seq }
  /** It will be written from `after` on: what it hasn't got of that, before all that it has, is missing until then. */
  | { readonly stream: string; readonly move: "reach"; readonly after: Seq }
  /** What was missing there has been written; nothing changes where more is missing before it. */
  | { readonly stream: string; readonly move: "fill"; readonly after: Seq; readonly through: Seq }
  /** What lies at or below `from` will never be there (any more). */
  | { readonly stream: string; readonly move: "begin"; readonly from: Seq };

/**
 * After the write of one event's frames. What is missing stays missing: what lies before it may be, too. Where a stream has
 * begun it stays: what is written before that is nobody's, since there may be more that is gone between the two.
 */
export function written(place: StreamPlace | undefined, seq: Seq): StreamPlace {
  const { oldest, newest, missing } = place ?? { oldest: seq - 1, newest: seq, missing: null };
  return { oldest, newest: Math.max(newest, seq), missing };
}

/** Whether a stream can take what is written at `seq`. */
export function takes(place: StreamPlace | undefined, seq: Seq): boolean {
  return place === undefined || seq > place.oldest;
}

export function moved(place: StreamPlace | undefined, to: PlaceMove): StreamPlace {
  switch (to.move) {
    case "lack":
      return lacking(place, to.after, to.through);
    case "owe":
      return owing(place, to.through);
    case "reach":
      return reaching(place, to.after);
    case "fill":
      return filled(place, to.after, to.through);
    case "begin":
      return beginning(place, to.from);
  }
}

/** What a stream has can answer for all up to `through`. */
export function reaches(place: StreamPlace | undefined, through: Seq): boolean {
  return place !== undefined && place.newest >= through;
}

/**
 * What of `known` a file can't answer for, by its own places: it was lost or put back to what it was. As it has to stand in
 * the file from now on.
 */
export function shortOf(
  places: ReadonlyMap<string, StreamPlace>,
  known: ReadonlyMap<string, StreamPlace>,
): Map<string, StreamPlace> {
  const short = new Map<string, StreamPlace>();
  for (const [name, { oldest, newest }] of known) {
    const place = places.get(name);
    if (!reaches(place, newest)) short.set(name, lacking(place, place?.newest ?? oldest, newest));
  }
  return short;
}

/** One span is remembered: where two are missing, what lies between them is written again with them. */
export function lacking(place: StreamPlace | undefined, after: Seq, through: Seq): StreamPlace {
  const { oldest, newest, missing } = place ?? { oldest: after, newest: through, missing: null };
  return {
    oldest: Math.min(oldest, after),
    newest: Math.max(newest, through),
    missing: span(Math.min(after, missing?.after ?? after), Math.max(through, missing?.through ?? through)),
  };
}

function owing(place: StreamPlace | undefined, through: Seq): StreamPlace {
  return place !== undefined && reaches(place, through) ? place : lacking(place, place?.newest ?? 0, through);
}

function reaching(place: StreamPlace | undefined, after: Seq): StreamPlace {
  if (place === undefined) return { oldest: after, newest: after, missing: null };
  return place.oldest <= after ? place : lacking(place, after, place.oldest);
}

function filled(place: StreamPlace | undefined, after: Seq, through: Seq): StreamPlace {
  const { oldest, newest, missing } = place ?? { oldest: after, newest: through, missing: null };
  const whole = missing === null || after > missing.after || through <= missing.after;
  return { oldest, newest, missing: whole ? missing : span(through, missing.through) };
}

function beginning(place: StreamPlace | undefined, from: Seq): StreamPlace {
  const { oldest, newest, missing } = place ?? { oldest: from, newest: from, missing: null };
  return {
    oldest: Math.max(oldest, from),
    newest: Math.max(newest, from),
    missing: missing && span(Math.max(missing.after, from), missing.through),
  };
}

/** How far nothing is missing to one who has everything up to `after`: at most `after` itself where the next is missing. */
export function wholeUpTo({ newest, missing }: StreamPlace, after: Seq): Seq {
  return missing !== null && after < missing.through ? missing.after : newest;
}

function span(after: Seq, through: Seq): StreamPlace["missing"] {
  return after < through ? { after, through } : null;
}
