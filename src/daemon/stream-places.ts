/** Where a stream's index begins. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Journal } from "../journal/journal.ts";
import type { Assembly } from "./assembly.ts";
import { formerNames } from "./subscriptions.ts";

/** A full disk lets the index wait; the daemon starts all the same, and its first readers are without a position. */
const PATIENCE_MS = 2_000;

/**
 * Gives a stream that has no place yet the journal's present one, before its routes feed it: a reader that comes before
 * its first event then has a position, and misses nothing when it is sent away by a reload or a restart. One that was fed
 * before, maybe by another name, has its index or gets it again (delivery/stream-fill.ts).
 */
export async function placeStreams(assembly: Assembly, { streams, log, ledger }: Journal): Promise<void> {
  const seq = log.bounds().newest;
  const former = formerNames(assembly.plan);
  const placed = [...assembly.sinks].map(async ([stream, { kind }]) => {
    if (kind !== "stream" || streams.places().has(stream)) return;
    const names = [stream, former.get(stream) ?? stream];
    if (names.some((name) => ledger.subscription(name) !== undefined)) return;
    await streams.write([{ stream, seq, frames: [] }]);
  });
  await Promise.race([Promise.all(placed), sleep(PATIENCE_MS, undefined, { ref: false })]);
}
