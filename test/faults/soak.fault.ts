/**
 * A soak: half of the load that this machine's daemon can take, for LEAT_SOAK_MINUTES (30), with a receiver that fails
 * now and then, dead letters, retention at work, readers that come and go. Memory, threads, file descriptors and the
 * journal's files must stay flat: the straight line through their samples after a warm-up may not rise by more than the
 * limits below over the whole run.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDaemon, makeReceiver } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { recordLedger } from "./ledger.ts";
import { loadSource, numberOf, startLoad, Tally } from "./load.ts";
import { drift, journalFigures, processFigures, SMALL_CONTAINER } from "./process-figures.ts";

const MINUTES = Number(process.env.LEAT_SOAK_MINUTES ?? 30);
/** Webhooks a second; left out: half of what the daemon takes at full load. */
const RATE = process.env.LEAT_SOAK_RATE === undefined ? null : Number(process.env.LEAT_SOAK_RATE);

const SAMPLE_MS = 2_000;
/** Long ones, so that what is kept in memory of recent events (64 MiB) is full before the samples count. */
const BODY_BYTES = 1500;
/**
 * Before anything can be flat, that memory has to be full, and what retention and the dedupe table keep has to come and
 * go. At most half of the run.
 */
const WARM_UP_MS = 180_000;
const WARM_UP_EVENTS = 50_000;
const FULL_LOAD_MS = 20_000;
/** Deliveries that wait, in seconds of load: more of them and it isn't half of what the daemon can take. */
const MOST_BEHIND_SECONDS = 30;

const MIB = 1024 * 1024;
const MOST_RISE = {
  /** The heap's saw-tooth, and pages that the allocator keeps. */
  residentBytes: 24 * MIB,
  threads: 0.5,
  /** Connections of the load and of readers come and go. */
  descriptors: 8,
  fileBytes: 24 * MIB,
  walBytes: 24 * MIB,
} as const;
const MOST_WAL = 256 * MIB;

type Figure = keyof typeof MOST_RISE;

test(`stays flat over ${MINUTES} minutes at half load, and loses nothing`, async (t) => {
  const receiver = await makeReceiver();
  /** Delivered or dead; and what was tried once, and is dead. */
  const [settled, tried, dead] = [new Tally(), new Tally(), new Tally()];
  receiver.answer = ({ body }) => {
    receiver.received.length = 0;
    const n = numberOf(body);
    // One in 49 fails at first, one in 499 is dead: of each of the 20 keys as many, for what follows in it waits.
    if (n % 499 === 1) {
      dead.add(n);
      settled.add(n);
      return 404;
    }
    if (n % 49 === 7 && !tried.has(n)) {
      tried.add(n);
      return 503;
    }
    settled.add(n);
    return 200;
  };
  const daemon = await makeDaemon(
    `
retention: { age: 30s, dead: { age: 30s } }
sources: { in: ${loadSource(", dedupe: 30s")} }
sinks:
  out:
    type: webhook
    url: "${receiver.url}/hook"
    concurrency: 32
    retry: { initial: 200ms, max_wait: 1s, max_age: 10m, dead_on: [404] }
    breaker: { failures: 1000 }
  live: { type: sse, path: /events, auth: { type: none }, history: { age: 1m } }
routes:
  all: { from: in, to: [out, live], transform: { n: "{{ body.n }}", key: "{{ body.key }}" } }
  few: { from: in, where: "body.n % 100 = 3", to: live }
`,
    SMALL_CONTAINER,
  );
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();

  // What full load is measured with all that there is at half of it: senders, receivers and readers share the machine.
  const steady = followStream(`${daemon.url}/events`);
  const watch = watchIdentity(daemon.admin);
  t.after(async () => {
    steady.close();
    await watch.stop();
  });
  await waitFor("the steady reader to be there", () => steady.connections > 0);
  const full = RATE === null ? await fullLoad(daemon.url, settled) : { perSecond: RATE * 2, next: 0 };
  const perSecond = Math.round(full.perSecond / 2);
  const settledBefore = settled.size;
  const load = startLoad({ url: daemon.url, perSecond, connections: 64, from: full.next, bytes: BODY_BYTES });
  t.after(() => load.stop());
  const seen = new Tally();
  let lastSeq = 0;
  let disordered = 0;
  const drain = () => {
    for (const { id, data } of steady.events.splice(0)) {
      const n = numberOf(data);
      // `few` sends one in a hundred a second time, with the same seq.
      if (Number(id) < lastSeq) disordered++;
      lastSeq = Number(id);
      seen.add(n);
    }
  };
  let visitor = followStream(`${daemon.url}/events`);

  const samples: Readonly<Record<Figure | "at" | "sent", number>>[] = [];
  const began = performance.now();
  let walMost = 0;
  while (performance.now() - began < MINUTES * 60_000) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    drain();
    visitor.close();
    visitor = followStream(`${daemon.url}/events`);
    const figures = { ...processFigures(daemon.pid()), ...journalFigures(daemon.folder) };
    samples.push({ at: performance.now() - began, sent: load.promised.size, ...figures });
    walMost = Math.max(walMost, figures.walBytes);
    const behind = load.promised.size - (settled.size - settledBefore);
    assert.ok(behind < perSecond * MOST_BEHIND_SECONDS, `${behind} wait: that is more than half load`);
  }
  visitor.close();
  await load.stop();
  const lost = () => load.promised.missingIn(settled);
  await untilNoneIsLeft(() => load.promised.missingIn(settled).length, settled).catch(async (error) => {
    t.diagnostic(`not at the receiver: ${lost().slice(0, 10)}; ${await whatIsOpen(daemon.admin)}`);
    throw error;
  });
  await waitFor(
    "every promised event at the reader",
    () => {
      drain();
      return load.promised.missingIn(seen).length === 0;
    },
    60_000,
  );
  steady.close();
  const identity = await watch.stop();

  const half = (MINUTES * 60_000) / 2;
  const warm = samples.filter(({ at, sent }) => at >= half || (at >= WARM_UP_MS && sent >= WARM_UP_EVENTS));
  const rises = Object.fromEntries(
    (Object.keys(MOST_RISE) as Figure[]).map((figure) => [
      figure,
      drift(warm.map((sample) => ({ at: sample.at, value: sample[figure] }))),
    ]),
  ) as Record<Figure, number>;
  const mib = (bytes: number) => Math.round((bytes / MIB) * 10) / 10;
  const last = samples.at(-1);
  recordLedger(t, {
    minutes: MINUTES,
    "webhooks/s": perSecond,
    "answered 2xx": load.promised.size,
    refused: [...load.refused.values()].reduce((sum, times) => sum + times, 0),
    lost: lost().length,
    dead: dead.size,
    ...identityLedger(identity),
    "RSS at the end, MiB": mib(last?.residentBytes ?? 0),
    "RSS rise, MiB": mib(rises.residentBytes),
    "descriptors at the end": last?.descriptors ?? 0,
    "descriptors rise": Math.round(rises.descriptors * 100) / 100,
    "threads rise": Math.round(rises.threads * 100) / 100,
    "WAL most, MiB": mib(walMost),
    "WAL rise, MiB": mib(rises.walBytes),
    "files at the end, MiB": mib(last?.fileBytes ?? 0),
    "files rise, MiB": mib(rises.fileBytes),
  });
  if (process.env.LEAT_SOAK_SAMPLES === "1")
    for (const sample of samples) t.diagnostic(JSON.stringify(sample));

  await settleIdentity(watch);
  assert.deepEqual([...load.refused], [], "nothing was refused");
  assert.equal(disordered, 0, "the reader saw seqs grow");
  assert.deepEqual(steady.gaps, []);
  assert.equal(steady.connections, 1, "the steady reader was never dropped");
  assert.ok(walMost < MOST_WAL, `the WAL grew to ${mib(walMost)} MiB`);
  for (const [figure, most] of Object.entries(MOST_RISE)) {
    const rise = rises[figure as Figure];
    assert.ok(rise <= most, `${figure} rose by ${rise.toFixed(1)}, and may by ${most}`);
  }
});

/** Webhooks a second that the daemon takes and hands on now; afterwards nothing of them is left to do. */
async function fullLoad(url: string, settled: Tally): Promise<{ perSecond: number; next: number }> {
  const load = startLoad({ url, perSecond: null, connections: 64, bytes: BODY_BYTES });
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, FULL_LOAD_MS));
  const perSecond = settled.size / ((performance.now() - began) / 1000);
  await load.stop();
  await waitFor("the full load to be settled", () => load.promised.missingIn(settled).length === 0, 60_000);
  return { perSecond, next: load.next };
}

/** Resolves when nothing is missing; rejects when for a minute nothing more has come: a backlog may take its time. */
async function untilNoneIsLeft(missing: () => number, come: Tally): Promise<void> {
  // At most a hundred are told apart at a time: to look for them takes as long as some deliveries.
  for (let left = missing(); left > 0; left = missing()) {
    const enough = come.size + left;
    await waitFor("more events at the receiver", () => come.size >= enough, 60_000);
  }
}

/** For who has to find out: what isn't settled, and what died of something else than the receiver's 404. */
async function whatIsOpen(admin: string): Promise<string> {
  const text = await (await fetch(`${admin}/metrics`)).text();
  const open = text
    .split("\n")
    .filter((line) => /^leat_(unsettled|breaker_open|sink_paused)\{.*[1-9]\d*$/.test(line));
  const { dead } = (await (await fetch(`${admin}/api/dead?limit=500`)).json()) as {
    dead: { error: string }[];
  };
  const others = dead.filter(({ error }) => error !== "dead_on").slice(0, 3);
  return `${open.join("; ")}; dead otherwise: ${JSON.stringify(others)}`;
}
