/**
 * Streams of lines while everything around them breaks: the daemon by kill -9, by SIGTERM and by a reload of the source,
 * the producers' connections by a reset. Producers come again under the same id, from the first line or from what they were
 * told. A stream's reader has every line once and in order; a receiver has each, its first times in order.
 */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { makeDaemon, makeReceiver } from "../e2e/daemon.ts";
import { linesOf, PRODUCER_TOKEN, type Production, produce } from "../e2e/line-producer.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { waitFor } from "../wait-for.ts";
import { recordLedger } from "./ledger.ts";
import { seeded } from "./seed.ts";

const MOMENTS = Number(process.env.LEAT_MOMENTS ?? 40);
const JOBS = 5;
/** Between two moments of breakage, so many lines get through. */
const LINES_A_MOMENT = 400;
/** Of all jobs together: there are lines left until the last moment. */
const TOTAL = (MOMENTS + 5) * LINES_A_MOMENT;
const PER_JOB = Math.ceil(TOTAL / JOBS);

const yaml = (idle: string, receiver: string) => `
sources:
  logs:
    type: webhook
    path: /logs
    verify: { type: bearer, token: ${PRODUCER_TOKEN} }
    stream: { type: lines, idle: ${idle} }
sinks:
  browser: { type: sse, path: /events, auth: { type: none }, channels: ["job.*"] }
  store: { type: webhook, url: "${receiver}/", retry: { initial: 100ms, max_wait: 500ms } }
routes:
  lines: { from: logs, to: [{ sink: browser, channel: "job.{{ key }}" }, store] }
`;

test(`streams of lines over ${MOMENTS} kills, restarts, reloads and resets`, {
  timeout: 600_000,
}, async (t) => {
  const { seed, chance } = seeded(t);
  const pick = (most: number) => Math.floor(chance.random() * most);
  const receiver = await makeReceiver();
  const daemon = await makeDaemon(yaml("1m", receiver.url));
  const reader = followStream(`${daemon.url}/events?channel=job.*`);
  let over = false;
  t.after(async () => {
    over = true;
    reader.close();
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  await waitFor("the reader", () => reader.connections > 0);

  const tally = { kills: 0, restarts: 0, reloads: 0, resets: 0, requests: 0, resumed: 0, duplicates: 0 };
  const open = new Map<number, Production>();
  const seen = () => linesOf(reader).length;

  async function* linesFrom(job: number, first: number): AsyncGenerator<string> {
    for (let n = first; n <= PER_JOB; ) {
      const until = Math.min(PER_JOB + 1, n + 1 + pick(20));
      // Never far ahead of the reader: what is broken next falls into the middle.
      await waitFor("the reader to follow", () => over || seen() >= (n - 200) * JOBS - 500, 60_000);
      let text = "";
      for (; n < until; n++) text += `job ${job} line ${n}\n`;
      yield text;
    }
  }

  async function send(job: number): Promise<void> {
    for (let first = 1; !over; ) {
      tally.requests++;
      if (first > 1) tally.resumed++;
      const production = produce(`${daemon.url}/logs`, `j${job}`, { "leat-line": String(first) });
      open.set(job, production);
      const source = Readable.from(linesFrom(job, first));
      source.on("error", () => {});
      source.pipe(production.request);
      const told = await production.answer;
      source.destroy();
      if (told?.status === 200) {
        assert.equal(told.json.last, PER_JOB);
        tally.duplicates += Number(told.json.duplicates ?? 0);
        return;
      }
      // Who was told how far it came may go on there; who wasn't begins anew.
      first = typeof told?.json.last === "number" && chance.random() < 0.7 ? told.json.last + 1 : 1;
      // Nobody may be there yet: as a producer would, it tries again a little later.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  const sending = Promise.all(Array.from({ length: JOBS }, (_, job) => send(job)));
  for (let moment = 1; moment <= MOMENTS; moment++) {
    await waitFor(`moment ${moment}`, () => seen() >= moment * LINES_A_MOMENT, 120_000);
    const what = pick(4);
    if (what === 0) {
      tally.kills++;
      await daemon.end();
      await daemon.start();
    } else if (what === 1) {
      tally.restarts++;
      daemon.signal("SIGTERM");
      assert.equal(await daemon.ended(), 0);
      await daemon.start();
    } else if (what === 2) {
      tally.reloads++;
      daemon.writeConfig(yaml(`${moment + 60}s`, receiver.url));
      daemon.signal("SIGHUP");
    } else {
      tally.resets++;
      open.get(pick(JOBS))?.request.destroy();
    }
  }
  await sending;

  const wanted = (job: number) => Array.from({ length: PER_JOB }, (_, n) => `job ${job} line ${n + 1}`);
  await waitFor("the reader to have all", () => seen() >= PER_JOB * JOBS, 120_000);
  const read = linesOf(reader);
  assert.equal(read.length, PER_JOB * JOBS, "none came twice");
  for (let job = 0; job < JOBS; job++) {
    assert.deepEqual(
      read.filter((line) => line.startsWith(`job ${job} `)),
      wanted(job),
    );
  }
  assert.deepEqual(reader.gaps, []);

  const stored = () =>
    new Set(receiver.received.map(({ body }) => body).filter((body) => body.startsWith("job ")));
  await waitFor("the receiver to have all", () => stored().size >= PER_JOB * JOBS, 300_000);
  const first = [...stored()];
  for (let job = 0; job < JOBS; job++) {
    assert.deepEqual(
      first.filter((line) => line.startsWith(`job ${job} `)),
      wanted(job),
      "a set keeps the order of the first times",
    );
  }
  recordLedger(t, { lines: PER_JOB * JOBS, lost: 0, twice: 0, ...tally, seed });
});
