import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report } from "../../src/component.ts";
import { type Clock, systemClock } from "../../src/ports.ts";
import type { Prepare } from "../../src/prepared.ts";
import { waitFor } from "../wait-for.ts";
import { DELIVERED, delivery, newEvent, POLICY, REFUSED, SOON, status, TestSink, target } from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

const idle = () => new Promise((resolve) => setImmediate(resolve));

/** A sink whose deliveries end when the test says so. */
function heldSink() {
  const waiting: ((report: Report) => void)[] = [];
  const sink = new TestSink(() => new Promise((resolve) => waiting.push(resolve)));
  return { sink, waiting };
}

test("at most `concurrency` attempts of a sink are under way, over all its subscriptions, which take turns", async (t) => {
  const ledger = new MemoryLedger();
  ledger.subscribe({ name: "a/s", sources: ["a"] });
  ledger.subscribe({ name: "b/s", sources: ["b"] });
  const { sink, waiting } = heldSink();
  const policy = { ...POLICY, concurrency: 4 };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  for (let n = 0; n < 50; n++) ledger.append(newEvent({ source: "a" }));
  for (let n = 0; n < 5; n++) ledger.append(newEvent({ source: "b" }));
  await works.apply([target("a/s", sink, { policy }), target("b/s", sink, { policy })], []);

  for (let ended = 0; ended < 14; ended++) {
    await waitFor("an attempt", () => waiting.length > 0);
    await idle();
    assert.ok(waiting.length <= 4, `${waiting.length} at once`);
    waiting.shift()?.(DELIVERED);
  }
  await idle();
  const ofB = sink.messages.filter(({ route }) => route === "b").length;
  assert.equal(ofB, 5, "the short one wasn't kept waiting by the long one");
  assert.ok(sink.messages.length <= 18);
});

test("a dead sink beside a live one changes nothing for the live one", async (t) => {
  const ledger = new MemoryLedger();
  const live = ledger.subscribe({ name: "r/live" });
  const dead = ledger.subscribe({ name: "r/dead" });
  const policy = { ...POLICY, timeoutMs: 60_000 };
  const liveSink = new TestSink();
  const { sink: deadSink } = heldSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/live", liveSink, { policy }), target("r/dead", deadSink, { policy })], []);
  for (let n = 0; n < 200; n++) ledger.append(newEvent());
  await waitFor("the live sink's", () => live.owed === 0);
  assert.equal(liveSink.messages.length, 200);
  assert.equal(deadSink.messages.length, 16);
  assert.equal(dead.owed, 200);
});

test("J7: a 429 holds the whole sink as long as it asked, kept in the journal; then one event probes", async (t) => {
  const ledger = new MemoryLedger();
  const a = ledger.subscribe({ name: "a/s", order: "none" });
  const b = ledger.subscribe({ name: "b/s", order: "none", sources: ["late"] });
  const times: number[] = [];
  const probe = Promise.withResolvers<Report>();
  const sink = new TestSink(() => {
    times.push(performance.now());
    if (times.length === 1) return status(429, 300);
    return times.length === 2 ? probe.promise : DELIVERED;
  });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("a/s", sink), target("b/s", sink)], []);
  ledger.append(newEvent());
  await waitFor("the 429", () => a.settled.length === 1);
  const { hold } = ledger.sinkState("s");
  assert.equal(hold?.ms, 300);
  assert.ok(Math.abs(hold.until - Date.now() - 300) < 200);
  assert.ok((works.status()[0]?.heldMs ?? 0) > 0);

  for (let n = 0; n < 5; n++) ledger.append(newEvent({ source: "late" }));
  await waitFor("the probe", () => times.length === 2);
  assert.ok(times[1]! - times[0]! >= 299, "no earlier than asked, the other subscription's too");
  await idle();
  assert.equal(times.length, 2, "one event probes");
  probe.resolve(DELIVERED);
  await waitFor("the rest", () => a.owed === 0 && b.owed === 0);
  assert.equal(ledger.sinkState("s").hold, null);
});

test("a hold is capped by max_wait, and a probe that meets another 429 holds again", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink(() => (sink.messages.length <= 3 ? status(429, 3_600_000) : DELIVERED));
  const policy = { ...POLICY, retry: { ...SOON, maxWaitMs: 40 } };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy })], []);
  ledger.append(newEvent());
  await waitFor("the delivery", () => subscription.owed === 0);
  assert.equal(sink.messages.length, 4);
});

test("J7: a hold, a pause and an open breaker come back with the journal, cut to the wait that was set", async (t) => {
  const ledger = new MemoryLedger();
  ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  // The clock was set back by a day meanwhile: a hold of 50 ms is not one of a day.
  ledger.setSinkState("s", {
    hold: { until: Date.now() + 86_400_000, ms: 50 },
    paused: null,
    breaker: { failures: 12, openUntil: Date.now() + 86_400_000, waitMs: 80 },
  });
  await works.apply([target("r/s", sink)], []);
  assert.equal(works.status()[0]?.breaker, "open");
  const start = performance.now();
  ledger.append(newEvent());
  await waitFor("the probe", () => sink.messages.length === 1);
  const waited = performance.now() - start;
  assert.ok(waited >= 40 && waited < 5000, `${waited} ms`);
  await waitFor(
    "closed",
    () => ledger.sinkState("s").breaker === null && ledger.sinkState("s").hold === null,
  );
});

test("the breaker opens after failures in a row, lets one probe through, closes on success, and says so", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s", order: "none" });
  let alive = false;
  const sink = new TestSink(() => (alive ? DELIVERED : REFUSED));
  const policy = {
    ...POLICY,
    concurrency: 1,
    retry: { ...SOON, initialMs: 1 },
    breaker: { failures: 5, probeMs: 400, maxMs: 800 },
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy })], []);
  for (let n = 0; n < 20; n++) ledger.append(newEvent({ id: `e${n}` }));
  await waitFor("open", () => works.status()[0]?.breaker === "open");
  assert.equal(sink.messages.length, 5);
  assert.deepEqual(
    [ledger.sinkState("s").breaker?.failures, ledger.sinkState("s").breaker?.waitMs],
    [5, 400],
  );
  await waitFor("a failed probe", () => sink.messages.length === 6);
  await waitFor("its longer wait", () => ledger.sinkState("s").breaker?.waitMs === 800);
  alive = true;
  await waitFor("all delivered", () => subscription.owed === 0);
  assert.equal(ledger.sinkState("s").breaker, null);
  const raised = ledger.of("leat").map(({ type, body }) => [type, JSON.parse(Buffer.from(body).toString())]);
  assert.deepEqual(raised, [
    ["leat.breaker", { sink: "s", state: "open", failures: 5 }],
    ["leat.breaker", { sink: "s", state: "closed", failures: 6 }],
  ]);
});

test("a sink that has its broker again is probed at once, and a pause or a hold stays what it is", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s", order: "none" });
  let alive = false;
  const sink = new TestSink(() => (alive ? DELIVERED : REFUSED));
  const policy = {
    ...POLICY,
    concurrency: 1,
    retry: { ...SOON, initialMs: 1 },
    breaker: { failures: 5, probeMs: 600_000, maxMs: 600_000 },
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy })], []);
  for (let n = 0; n < 20; n++) ledger.append(newEvent({ id: `e${n}` }));
  await waitFor("open", () => works.status()[0]?.breaker === "open");
  works.reconnected("s");
  await waitFor("a probe that fails", () => sink.messages.length === 6);
  await waitFor("the next wait", () => works.status()[0]?.breaker === "open");
  alive = true;
  works.pause("s", "maintenance");
  works.reconnected("s");
  works.reconnected("unknown");
  await idle();
  await idle();
  assert.equal(sink.messages.length, 6);
  works.resume("s");
  await waitFor("all delivered", () => subscription.owed === 0);
  assert.equal(works.status()[0]?.breaker, "closed");
  const until = systemClock.wall() + 600_000;
  ledger.setSinkState("s", { hold: { until, ms: 600_000 }, paused: null, breaker: null });
  works.reconnected("s");
  assert.equal(ledger.sinkState("s").hold?.until, until);
});

test("a probe that turns out to be filtered is none: the next event probes", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  ledger.setSinkState("s", {
    hold: null,
    paused: null,
    breaker: { failures: 10, openUntil: 0, waitMs: 5000 },
  });
  const sink = new TestSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply(
    [
      target("r/s", sink, {
        prepare: (event) =>
          event.id === "no"
            ? { result: "filtered", reason: "match" }
            : { result: "message", body: event.body, contentType: null, fields: {} },
      }),
    ],
    [],
  );
  for (const id of ["no", "no", "no", "yes"]) ledger.append(newEvent({ id }));
  await waitFor("all", () => subscription.owed === 0);
  assert.equal(sink.messages.length, 1);
  assert.equal(works.status()[0]?.breaker, "closed");
});

test("a 410 where the URL is constant kills its event and pauses the sink until a person resumes it", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink(() => (sink.messages.length === 1 ? { ...status(410), gone: true } : DELIVERED));
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink)], []);
  ledger.append(newEvent());
  await waitFor("the death", () => subscription.owed === 0);
  assert.match(ledger.sinkState("s").paused ?? "", /410/);
  ledger.append(newEvent());
  await idle();
  assert.equal(sink.messages.length, 1);
  assert.equal(works.resume("s"), true);
  await waitFor("the next", () => subscription.owed === 0);
  assert.equal(ledger.sinkState("s").paused, null);
});

test("a person pauses and resumes a sink; an unknown one is said to be unknown", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink)], []);
  assert.equal(works.pause("s", "maintenance"), true);
  assert.equal(works.pause("t", "maintenance"), false);
  ledger.append(newEvent());
  await idle();
  await idle();
  assert.equal(sink.messages.length, 0);
  assert.equal(works.status()[0]?.paused, "maintenance");
  works.resume("s");
  await waitFor("the delivery", () => subscription.owed === 0);
});

test("a rate is kept, and filtered events don't count", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const policy = { ...POLICY, rate: { count: 50, perMs: 1000 } };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply(
    [
      target("r/s", sink, {
        policy,
        prepare: (event) =>
          event.id === "no"
            ? { result: "filtered", reason: "match" }
            : { result: "message", body: event.body, contentType: null, fields: {} },
      }),
    ],
    [],
  );
  const start = performance.now();
  for (let n = 0; n < 20; n++) {
    ledger.append(newEvent({ id: "no" }));
    ledger.append(newEvent({ id: "no" }));
    ledger.append(newEvent({ id: "yes" }));
  }
  await waitFor("all", () => subscription.owed === 0);
  const seconds = (performance.now() - start) / 1000;
  assert.equal(sink.messages.length, 20);
  // Five at once, the other fifteen at 50 a second.
  assert.ok(seconds >= 0.29, `${seconds} s`);
});

const none: Prepare = () => ({ result: "filtered", reason: "match" });

test("2,000 routes into one sink: an event costs each route its own work, not that of all the others", async (t) => {
  const ledger = new MemoryLedger();
  const names = Array.from({ length: 2000 }, (_, n) => `r${n}/s`);
  const subscriptions = names.map((name) => ledger.subscribe({ name }));
  // Each look at a route's place reads the clock.
  let looks = 0;
  const clock: Clock = {
    ...systemClock,
    monotonic: () => {
      looks++;
      return systemClock.monotonic();
    },
  };
  const works = delivery(ledger, { clock });
  t.after(() => works.stop(0));
  const sink = new TestSink();
  await works.apply(
    names.map((name, n) => target(name, sink, n === 1999 ? {} : { prepare: none })),
    [],
  );
  ledger.append(newEvent());
  await waitFor("all routes", () => subscriptions.every(({ owed }) => owed === 0));
  assert.equal(sink.messages.length, 1);
  assert.ok(looks < 100 * names.length, `${looks} looks`);
});

test("however many routes an event has to pass, others have the event loop meanwhile", async (t) => {
  const ledger = new MemoryLedger();
  const names = Array.from({ length: 200 }, (_, n) => `r${n}/s`);
  const subscriptions = names.map((name) => ledger.subscribe({ name }));
  const slow: Prepare = () => {
    const end = performance.now() + 1;
    while (performance.now() < end);
    return { result: "filtered", reason: "match" };
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  const sink = new TestSink();
  await works.apply(
    names.map((name) => target(name, sink, { prepare: slow })),
    [],
  );
  ledger.append(newEvent());
  let turns = 0;
  while (subscriptions.some(({ owed }) => owed > 0)) {
    await idle();
    turns++;
  }
  // 200 ms of work in stretches of 5 ms and what one route takes.
  assert.ok(turns >= 10, `${turns} turns`);
});
