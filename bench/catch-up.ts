/**
 * Catch-up: many events wait for a sink that comes back. What bounds how fast they leave should be the sink (against
 * undici alone, at the same concurrency to the same receiver), and those who send meanwhile should hardly notice (against
 * the same load while the sink is paused).
 */
import { Pool } from "undici";
import { arrived } from "./end-to-end.ts";
import { inFolder, type Leat, PATH, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { freePort, type Server, startServer } from "./process.ts";
import type { Row } from "./row.ts";
import { total } from "./scrape.ts";
import { inTurns } from "./turns.ts";
import { BODY, wrk } from "./wrk.ts";

const CONCURRENCY = 32;
/** What the receiver takes for each: less than most handlers that write to a database. */
const SERVICE_MS = 5;
/** At most so long until a sink that is back is tried again, and with margin. */
const BACK_MS = 20_000;

const config = (url: string) => `
sinks:
  out:
    type: webhook
    url: "${url}/"
    concurrency: ${CONCURRENCY}
    retry: { initial: 1s, max_wait: 1s, jitter: 0 }
    breaker: { probe: 500ms, max: 1s }
    backlog: { size: 100% }
routes: { all: { from: github, to: out } }
`;

/** A second. */
interface Deliveries {
  readonly delivered: number;
}

interface Accepts {
  readonly accepted: number;
  readonly commits: number;
  readonly delivered: number;
  readonly p99Ms: number;
}

export function catchUp({ rounds, seconds, waiting }: Options): Promise<Row[]> {
  return inFolder(async (folder, started) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const leat = started(await startLeat({ config: config(url), folder }));
    while ((await owed(leat)) < waiting) await wrk({ url: leat.url, path: PATH, seconds: 1 });

    const script = new URL("receiver.ts", import.meta.url).pathname;
    const args = [script, String(port), String(SERVICE_MS)];
    const receiver = started(await startServer({ args, url, cwd: folder }));
    await until(
      "the sink to be tried again",
      BACK_MS,
      async () => (await arrived(receiver)).count > CONCURRENCY,
    );

    const pool = new Pool(url, { connections: CONCURRENCY, pipelining: 1 });
    started({ stop: () => pool.close() });
    const alone = await inTurns<Deliveries>(
      rounds,
      () => resumed(leat, () => deliveries(receiver, () => passed(seconds))),
      () => deliveries(receiver, () => posts(pool, seconds)),
    );
    const beside = await inTurns<Accepts>(
      rounds,
      () => resumed(leat, () => accepts(leat, receiver, seconds)),
      () => accepts(leat, receiver, seconds),
    );
    // Else it wasn't catching up all the time, and nothing above is what it says.
    const left = await owed(leat);
    if (left === 0) throw new Error("the sink has caught up before the end: see --waiting");

    const loaded = (row: string, unit: string, field: keyof Accepts): Row => ({
      row,
      unit,
      leat: beside.of("leat", field),
      baseline: beside.of("baseline", field),
      against: "the same load with the sink paused",
      compared: { by: "ratio", value: beside.ratio(field) },
      bar: { least: 0.8 },
      more: {},
    });
    return [
      {
        row: "catch-up: deliveries",
        unit: "deliveries/s",
        leat: alone.of("leat", "delivered"),
        baseline: alone.of("baseline", "delivered"),
        against: `undici alone, ${CONCURRENCY} at once`,
        compared: { by: "ratio", value: alone.ratio("delivered") },
        bar: { least: 0.8 },
        more: { waiting, left },
      },
      {
        ...loaded("catch-up: new accepts", "webhooks/s", "accepted"),
        more: {
          deliveriesPerSecond: beside.of("leat", "delivered"),
          leatP99Ms: beside.of("leat", "p99Ms"),
          baselineP99Ms: beside.of("baseline", "p99Ms"),
        },
      },
      loaded("catch-up: commits", "commits/s", "commits"),
    ];
  });
}

async function owed(leat: Leat): Promise<number> {
  return total(await leat.metrics(), "leat_unsettled");
}

/** Runs `measure` with the sink resumed, and pauses it again: what was under way then is not waited for. */
async function resumed<T>(leat: Leat, measure: () => Promise<T>): Promise<T> {
  await tell(leat, "resume");
  try {
    return await measure();
  } finally {
    await tell(leat, "pause");
  }
}

async function tell(leat: Leat, what: "pause" | "resume"): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${leat.admin}/api/sinks/out/${what}`, { method: "POST", headers, body: "{}" });
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
}

/** Deliveries a second while `run` runs. */
async function deliveries(receiver: Server, run: () => Promise<void>): Promise<Deliveries> {
  const before = await arrived(receiver);
  const start = performance.now();
  await run();
  const { count } = await arrived(receiver);
  return { delivered: (count - before.count) / ((performance.now() - start) / 1000) };
}

async function accepts(leat: Leat, receiver: Server, seconds: number): Promise<Accepts> {
  const before = total(await leat.metrics(), "leat_journal_commits_total");
  let load = { perSecond: Number.NaN, p99Ms: Number.NaN };
  const start = performance.now();
  const { delivered } = await deliveries(receiver, async () => {
    load = await wrk({ url: leat.url, path: PATH, seconds });
  });
  const commits = total(await leat.metrics(), "leat_journal_commits_total") - before;
  const took = (performance.now() - start) / 1000;
  return { accepted: load.perSecond, commits: commits / took, delivered, p99Ms: load.p99Ms };
}

async function posts(pool: Pool, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  const headers = { "content-type": "application/json" };
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      while (performance.now() < end) {
        const answer = await pool.request({ method: "POST", path: "/", headers, body: BODY });
        await answer.body.dump();
      }
    }),
  );
}

const passed = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000));

async function until(what: string, ms: number, reached: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await reached())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms / 1000} s for ${what}`);
    await passed(0.1);
  }
}
