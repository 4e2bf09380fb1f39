/**
 * Ingest: webhooks/s with the HMAC checked and the event on disk, against a bare Fastify that only checks the HMAC; also
 * on a disk whose fsync takes some milliseconds.
 */
import { inFolder, PATH, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { type Server, startScript } from "./process.ts";
import type { Row } from "./row.ts";
import { slowFsync } from "./tools.ts";
import { inTurns, type Turns } from "./turns.ts";
import { wrk } from "./wrk.ts";

/** Of cloud disks. */
const FSYNC_MS = [2, 10];
const BARE = "a Fastify that only checks the HMAC";

export interface IngestTurn {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function ingestTurn(server: Server, seconds: number): Promise<IngestTurn> {
  const before = server.cpuSeconds();
  const { requests, perSecond, p50Ms, p99Ms } = await wrk({ url: server.url, path: PATH, seconds });
  return { perSecond, cpuMicros: ((server.cpuSeconds() - before) / requests) * 1e6, p50Ms, p99Ms };
}

export async function ingest(options: Options): Promise<Row[]> {
  const turns = await measure(options, 0);
  const cpu: Row = {
    row: "ingest: processor time",
    unit: "µs an event",
    leat: turns.of("leat", "cpuMicros"),
    baseline: turns.of("baseline", "cpuMicros"),
    against: BARE,
    compared: { by: "ratio", value: turns.ratio("cpuMicros") },
    bar: { most: 1.6 },
    more: {},
  };
  return [ingestRow("ingest", turns, { least: 0.9 }), cpu];
}

export async function ingestSlowDisk(options: Options): Promise<Row[]> {
  const rows: Row[] = [];
  for (const ms of FSYNC_MS)
    rows.push(ingestRow(`ingest, fsync + ${ms} ms`, await measure(options, ms), null));
  return rows;
}

function measure({ rounds, seconds }: Options, fsyncMs: number): Promise<Turns<IngestTurn>> {
  return inFolder(async (folder, started) => {
    const env = fsyncMs === 0 ? {} : slowFsync(folder, fsyncMs);
    const leat = started(await startLeat({ config: "sinks: {}\nroutes: {}\n", folder, env }));
    const bare = started(await startScript("bare-fastify.ts", folder));
    return inTurns(
      rounds,
      () => ingestTurn(leat, seconds),
      () => ingestTurn(bare, seconds),
    );
  });
}

function ingestRow(row: string, turns: Turns<IngestTurn>, bar: Row["bar"]): Row {
  return {
    row,
    unit: "webhooks/s",
    leat: turns.of("leat", "perSecond"),
    baseline: turns.of("baseline", "perSecond"),
    against: BARE,
    compared: { by: "ratio", value: turns.ratio("perSecond") },
    bar,
    more: {
      leatP50Ms: turns.of("leat", "p50Ms"),
      leatP99Ms: turns.of("leat", "p99Ms"),
      baselineP50Ms: turns.of("baseline", "p50Ms"),
      baselineP99Ms: turns.of("baseline", "p99Ms"),
    },
  };
}
