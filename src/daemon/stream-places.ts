/** Where a stream's index begins. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Journal } from "../journal/journal.ts";
import type { Assembly } from "./assembly.ts";

/** A full disk lets the index wait; the daemon starts all the same, and its first readers are without a position. */
const PATIENCE_MS = 2_000;

/**
 * Gives a stream that has no place yet the journal's present one, before its routes feed it: a reader that comes before
 * its first event then has a position, and misses nothing when it is sent away by a reload or a restart. One that was fed
 * before has lost its index, and gets a place by having that written again (delivery/stream-rebuild.ts).
 */
export async function placeStreams({ sinks }: Assembly, { streams, log, ledger }: Journal): Promise<void> {
  const seq = log.bounds().newest;
  const placed = [...sinks].map(async ([stream, { kind }]) => {
    if (kind !== "stream" || (await streams.bounds(stream)).newest > 0) return;
    if (ledger.subscription(stream) !== undefined) return;
    await streams.write([{ stream, seq, frames: [] }]);
  });
  await Promise.race([Promise.all(placed), sleep(PATIENCE_MS, undefined, { ref: false })]);
}
