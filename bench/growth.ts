/**
 * Growth: ingest into a journal that keeps millions of events, where retention has to remove as much as comes in, against
 * one that began empty.
 */
import { execFile } from "node:child_process";
import { existsSync, statfsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { ingestTurn } from "./ingest.ts";
import { inFolder, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import type { Row } from "./row.ts";
import { total } from "./scrape.ts";
import { inTurns } from "./turns.ts";
import { WEBHOOK_BYTES } from "./webhook.ts";

/** On disk, of one of the sender's events; with what its write-ahead log takes meanwhile. */
const DISK_BYTES_EACH = 1300;
const ROUTES = "sinks: {}\nroutes: {}\n";

export function growth({ rounds, seconds, kept, journal }: Options): Promise<Row[]> {
  return inFolder(async (folder, started) => {
    const path = resolve(journal ?? join(folder, "grown"));
    const fillSeconds = await fill(path, kept);
    const config = `retention: { size: "${kept * WEBHOOK_BYTES}B" }\n${ROUTES}`;
    const grown = started(await startLeat({ config, folder, journal: path }));
    const empty = started(await startLeat({ config: ROUTES, folder }));
    const before = await grown.metrics();
    const turns = await inTurns(
      rounds,
      () => ingestTurn(grown, seconds),
      () => ingestTurn(empty, seconds),
    );
    const after = await grown.metrics();
    const came = total(after, "leat_journal_events_total") - total(before, "leat_journal_events_total");
    const more = total(after, "leat_journal_events") - total(before, "leat_journal_events");
    return [
      {
        row: "growth",
        unit: "webhooks/s",
        leat: turns.of("leat", "perSecond"),
        baseline: turns.of("baseline", "perSecond"),
        against: "Leat with a journal that began empty",
        compared: { by: "ratio", value: turns.ratio("perSecond") },
        bar: { least: 0.9 },
        more: {
          kept: total(before, "leat_journal_events"),
          removedOfThoseThatCame: (came - more) / came,
          fillSeconds,
          leatCpuMicros: turns.of("leat", "cpuMicros"),
          baselineCpuMicros: turns.of("baseline", "cpuMicros"),
          leatP99Ms: turns.of("leat", "p99Ms"),
          baselineP99Ms: turns.of("baseline", "p99Ms"),
        },
      },
    ];
  });
}

/** Fills the journal up to so many; resolves with how many seconds it took. */
async function fill(path: string, kept: number): Promise<number> {
  const { bavail, bsize } = statfsSync(dirname(path));
  const needed = kept * DISK_BYTES_EACH;
  if (!existsSync(path) && bavail * bsize < 2 * needed) {
    throw new Error(
      `${kept} events take ${Math.ceil(needed / 1e9)} GB, and twice that isn't free at ${path}: see --kept`,
    );
  }
  const start = performance.now();
  const script = new URL("fill.ts", import.meta.url).pathname;
  await promisify(execFile)(process.execPath, [script, path, String(kept)]);
  return (performance.now() - start) / 1000;
}
