/**
 * Ingest: webhooks/s with the HMAC checked and the event on disk, against a bare Fastify that only checks the HMAC.
 * The two take turns on the same machine, so that its drift cancels out; the ratio is the median over the rounds.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Server, startServer } from "./process.ts";
import type { Row } from "./row.ts";
import { median } from "./row.ts";
import { SECRET, wrk } from "./wrk.ts";

const LEAT_PORT = 18480;
const BARE_PORT = 18482;
const MAIN = new URL("../src/main.ts", import.meta.url).pathname;
const BARE = new URL("bare-fastify.ts", import.meta.url).pathname;

const CONFIG = `
server: { listen: "127.0.0.1:${LEAT_PORT}", admin: "127.0.0.1:${LEAT_PORT + 1}" }
journal: { type: sqlite, path: ./data }
log: { level: warn }
sources:
  github: { type: webhook, path: /webhooks/github, verify: { type: github, secret: "${SECRET}" } }
sinks: {}
routes: {}
`;

interface Turn {
  readonly perSecond: number;
  readonly cpuMicrosPerEvent: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function turn(server: Server, seconds: number): Promise<Turn> {
  const before = server.cpuSeconds();
  const load = await wrk(server.url, "/webhooks/github", seconds);
  if (load.badStatuses + load.socketErrors > 0) {
    throw new Error(`${server.url}: ${load.badStatuses} bad statuses, ${load.socketErrors} socket errors`);
  }
  const cpu = server.cpuSeconds() - before;
  return {
    perSecond: load.perSecond,
    cpuMicrosPerEvent: (cpu / load.requests) * 1e6,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
  };
}

export async function ingest(rounds: number, seconds: number): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), "leat-bench-"));
  writeFileSync(join(folder, "leat.yaml"), CONFIG);
  const servers: Server[] = [];
  try {
    const leat = await startServer(
      [MAIN, "run", "--config", "leat.yaml"],
      `http://127.0.0.1:${LEAT_PORT}`,
      folder,
    );
    servers.push(leat);
    const bare = await startServer([BARE, String(BARE_PORT)], `http://127.0.0.1:${BARE_PORT}`, folder);
    servers.push(bare);
    await turn(leat, 2);
    await turn(bare, 2);
    const leats: Turn[] = [];
    const bares: Turn[] = [];
    for (let round = 0; round < rounds; round++) {
      leats.push(await turn(leat, seconds));
      bares.push(await turn(bare, seconds));
    }
    const of = (turns: readonly Turn[], field: keyof Turn) => median(turns.map((one) => one[field]));
    return {
      row: "ingest",
      unit: "webhooks/s",
      leat: of(leats, "perSecond"),
      baseline: of(bares, "perSecond"),
      ratio: median(leats.map((one, round) => one.perSecond / (bares[round]?.perSecond ?? Number.NaN))),
      bar: 0.9,
      against: "Fastify that only checks the HMAC",
      more: {
        leatCpuMicrosPerEvent: of(leats, "cpuMicrosPerEvent"),
        baselineCpuMicrosPerEvent: of(bares, "cpuMicrosPerEvent"),
        leatP50Ms: of(leats, "p50Ms"),
        leatP99Ms: of(leats, "p99Ms"),
        baselineP50Ms: of(bares, "p50Ms"),
        baselineP99Ms: of(bares, "p99Ms"),
      },
    };
  } finally {
    for (const server of servers) await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
