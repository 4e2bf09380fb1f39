/**
 * The whole process stands still for 45 s, as in a paused container, and goes on. Every timer is then late at once, and
 * the answers lie in buffers: nothing may be lost, expire, die or be taken for broken by that alone.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDaemon } from "../e2e/daemon.ts";
import { followStream } from "../e2e/stream-reader.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "./identity.ts";
import { disorder, makeLanding, missing } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { startTraffic, tally } from "./traffic.ts";

const STOPPED_MS = 45_000;
/** So long under way that the stop finds more of them there than it takes to open a breaker. */
const SLOW_MS = 400;
/** Some 100 ms of work: too long for the main thread, so that the stop finds one in the expressions' own. */
const HEAVY = "$count($map([1..30000], function($i) { $i * 2 })) > 1";

test("stands still for 45 s, and goes on as if nothing had been", { timeout: 300_000 }, async (t) => {
  // A receiver that closes idle connections meanwhile would make a retry of what is written into one of them.
  const patient = () => makeLanding(0, 3 * STOPPED_MS);
  const [prompt, slow, heavy] = [await patient(), await patient(), await patient()];
  slow.answer = (_, response) => {
    const { promise, resolve } = Promise.withResolvers<number>();
    response.once("close", () => clearTimeout(timer));
    const timer = setTimeout(() => resolve(200), SLOW_MS);
    return promise;
  };
  const daemon = await makeDaemon(`
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: body.id, key: body.key }
  few: { type: webhook, path: /few, verify: { type: none }, id: body.id }
  hard: { type: webhook, path: /hard, verify: { type: none }, id: body.id }
sinks:
  prompt: { type: webhook, url: "${prompt.url}/" }
  slow: { type: webhook, url: "${slow.url}/", concurrency: 64 }
  heavy: { type: webhook, url: "${heavy.url}/" }
  live: { type: sse, path: /events, auth: { type: none }, channels: [all], channel: all }
routes:
  all: { from: in, to: [prompt, live] }
  some: { from: few, to: slow }
  worked: { from: hard, where: "${HEAVY}", to: heavy }
`);
  t.after(async () => {
    await daemon.close();
    await Promise.all([prompt.close(), slow.close(), heavy.close()]);
  });
  await daemon.start();
  const reader = followStream(`${daemon.url}/events`);
  t.after(() => reader.close());
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  const all = [
    [startTraffic({ url: `${daemon.url}/in`, perSecond: 200, keys: 40 }), prompt],
    [startTraffic({ url: `${daemon.url}/few`, perSecond: 60 }), slow],
    [startTraffic({ url: `${daemon.url}/hard`, perSecond: 10 }), heavy],
  ] as const;
  t.after(() => Promise.all(all.map(([traffic]) => traffic.stop())));
  const arrivals = () => Math.min(prompt.arrivals.length, slow.arrivals.length);
  const pass = (ms: number) => {
    const begun = performance.now();
    return waitFor("the time to pass", () => performance.now() - begun >= ms, ms + 1000);
  };
  await waitFor("deliveries everywhere", () => Math.min(arrivals(), heavy.arrivals.length) > 20, 30_000);

  // No more of these: 45 s of them would keep their thread busy for long after.
  const hard = all[2][0].stop();
  watch.standsStill();
  daemon.signal("SIGSTOP");
  await pass(STOPPED_MS);
  const before = arrivals();
  const goesOn = performance.now();
  daemon.signal("SIGCONT");
  watch.goesOn();
  await waitFor("deliveries everywhere again", () => arrivals() > before + 10, 30_000);
  const resumedMs = Math.round(performance.now() - goesOn);
  await pass(5_000);
  await Promise.all([hard, all[0][0].stop(), all[1][0].stop()]);
  const late = () => all.map(([{ promised }, to]) => missing(promised, to).length).join(" + ");
  await waitFor("all to arrive", () => late() === "0 + 0 + 0", 60_000).catch(() => {
    assert.fail(`${late()} did not arrive:\n${daemon.output().slice(-3000)}`);
  });
  const [{ promised }] = all[0];
  await waitFor("the reader to have all", () => reader.events.length >= promised.size);
  const figures = await watch.stop();

  const { samples } = await scrapeMetrics(daemon.admin);
  const of = (name: string, outcome: string) =>
    samples.reduce(
      (sum, one) => sum + (one.name === name && one.labels.outcome === outcome ? one.value : 0),
      0,
    );
  const [dead, expired] = ["dead", "expired"].map((outcome) => of("leat_settled_total", outcome));
  const retries = of("leat_attempts_total", "retry");
  const refused = new Map(all.flatMap(([traffic]) => [...traffic.refused]));
  const repeats = all.map(([, { taken }]) => [...taken.values()].reduce((sum, count) => sum + count - 1, 0));
  recordLedger(t, {
    promised: all.reduce((sum, [traffic]) => sum + traffic.promised.size, 0),
    refused: tally(refused),
    lost: all.reduce((sum, [traffic, to]) => sum + missing(traffic.promised, to).length, 0),
    repeats: repeats.join(" + "),
    retries,
    dead: dead ?? "?",
    expired: expired ?? "?",
    "goes on after ms": resumedMs,
    "reader's connections": reader.connections,
    ...identityLedger(figures),
  });
  t.diagnostic(daemon.output().slice(-3000));
  // Nobody was told no: senders have more patience than it stood still, and their answers lay there with all else.
  assert.deepEqual([...refused], []);
  assert.deepEqual([dead, expired], [0, 0]);
  assert.equal(retries, 0, "an answer that lay there was not read, and taken for late");
  assert.deepEqual(reader.gaps, []);
  assert.equal(reader.connections, 1);
  assert.equal(disorder(promised, prompt), 0);
  await settleIdentity(watch);
  assert.equal(figures.lives, 1);
});
