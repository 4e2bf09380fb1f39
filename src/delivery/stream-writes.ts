/** How what a stream has published gets into its index: in order, what lapsed before what comes behind it. */
import type { Seq } from "../event.ts";
import type { Lease, StreamIndex, StreamPlace } from "../journal/journal.ts";
import type { Rendered } from "./frames.ts";

/** One event of a stream that was published. */
export interface Published {
  readonly lease: Lease;
  readonly target: { readonly stream: string };
  readonly rendered: Rendered | null;
  /** What lies up to here, above what was published before, lapsed; 0: nothing did. */
  readonly lapsed: Seq;
}

/**
 * Resolves when all of it is on disk; rejects only with the index's end. What the index does is done in the order of the calls.
 * `after`: what lies behind it, up to the batch's last, is all in the batch.
 */
export async function writeFlights(
  index: StreamIndex,
  batch: readonly Published[],
  after: Seq,
): Promise<void> {
  const writes: Promise<void>[] = [];
  let entries: Parameters<StreamIndex["write"]>[0][number][] = [];
  const flush = () => {
    if (entries.length > 0) writes.push(index.write(entries));
    entries = [];
  };
  for (const { lease, target, rendered, lapsed } of batch) {
    if (lapsed > 0) {
      flush();
      writes.push(index.begin(target.stream, lapsed));
    }
    entries.push({ stream: target.stream, seq: lease.event.seq, frames: rendered?.frames ?? [] });
  }
  flush();
  const { target, lease } = batch.at(-1) as Published;
  const through = lease.event.seq;
  if (after < through && mayBeMissing(index.places().get(target.stream), after)) {
    writes.push(index.fill([], { stream: target.stream, after, through }));
  }
  await Promise.all(writes);
}

/** Whether what comes after `after` may be `missing` there, now or once what is being written (`reach`) is. */
function mayBeMissing(place: StreamPlace | undefined, after: Seq): boolean {
  return (
    place === undefined || place.oldest > after || (place.missing !== null && place.missing.through > after)
  );
}
