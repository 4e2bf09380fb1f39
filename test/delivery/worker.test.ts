import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report } from "../../src/component.ts";
import { noObserver } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import { systemClock } from "../../src/ports.ts";
import type { Prepare, Prepared } from "../../src/prepared.ts";
import { waitFor } from "../wait-for.ts";
import {
  DELIVERED,
  delivery,
  newEvent,
  POLICY,
  passing,
  REFUSED,
  SOON,
  status,
  TestSink,
  target,
} from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

const json = (body: Uint8Array) => JSON.parse(Buffer.from(body).toString());
const body = (text: string) => ({ body: Buffer.from(text) });

test("delivers what comes, and settles it with its attempt", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink(() => ({ result: "delivered", status: 201, answer: Buffer.from("ok") }));
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink)], []);
  const event = ledger.append(newEvent({ hops: 2 }));

  await waitFor("the settlement", () => subscription.settled.length === 1);
  const { outcome, attempt } = subscription.settled[0]!.settlement;
  assert.equal(outcome, "delivered");
  assert.equal(attempt?.outcome, "delivered");
  assert.equal(attempt?.status, 201);
  assert.equal(attempt?.error, null);
  assert.deepEqual(attempt?.answer, Buffer.from("ok"));
  const [message] = sink.messages;
  assert.equal(message?.event, event);
  assert.deepEqual([message?.route, message?.subscription], ["r", "r/s"]);
  assert.deepEqual([message?.attempt, message?.replay, message?.hops], [1, 0, 3]);
});

test("J8: a retry is prepared anew from the stored event, and counts its attempts", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink(({ attempt }) => (attempt < 3 ? status(503) : DELIVERED));
  let prepared = 0;
  const prepare: Prepare = () => ({
    result: "message",
    ...body(String(++prepared)),
    contentType: null,
    fields: {},
  });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { prepare })], []);
  ledger.append(newEvent());

  await waitFor("the delivery", () => subscription.owed === 0);
  assert.deepEqual(sink.bodies(), ["1", "2", "3"]);
  assert.deepEqual(
    sink.messages.map(({ attempt }) => attempt),
    [1, 2, 3],
  );
  assert.deepEqual(
    subscription.settled.map(({ settlement }) => settlement.outcome),
    ["retry", "retry", "delivered"],
  );
});

test("what the route doesn't want is filtered without an attempt, however much of it there is", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const prepare: Prepare = ({ id }) =>
    id === "wanted"
      ? { result: "message", ...body(id), contentType: null, fields: {} }
      : { result: "filtered", reason: "match" };
  const reasons: string[] = [];
  const observer = {
    ...noObserver,
    filtered: (route: string, sinkName: string, reason: string) =>
      reasons.push(`${route} ${sinkName} ${reason}`),
  };
  const works = delivery(ledger, { observer });
  t.after(() => works.stop(0));
  for (let n = 0; n < 500; n++) ledger.append(newEvent({ id: "unwanted" }));
  ledger.append(newEvent({ id: "wanted" }));
  await works.apply([target("r/s", sink, { prepare })], []);

  await waitFor("all", () => subscription.owed === 0);
  assert.deepEqual(sink.bodies(), ["wanted"]);
  assert.equal(reasons.length, 500);
  assert.equal(reasons[0], "r s match");
});

test("a poison event among good ones is dead with the reason, whether prepare says so, throws or rejects", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const prepare: Prepare = ({ id }) => {
    if (id === "says") {
      return {
        result: "dead",
        error: "nothing",
        expression: "body.x",
        path: "channel",
        message: "yields nothing",
      };
    }
    if (id === "throws") throw new TypeError("a defect");
    if (id === "rejects") return Promise.reject(new TypeError("a late defect"));
    return { result: "message", ...body(id), contentType: null, fields: {} };
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { prepare })], []);
  for (const id of ["a", "says", "b", "throws", "c", "rejects", "d"]) ledger.append(newEvent({ id }));

  await waitFor("all", () => subscription.owed === 0);
  assert.deepEqual(sink.bodies().sort(), ["a", "b", "c", "d"]);
  const dead = subscription.settled
    .map(({ settlement }) => settlement)
    .filter((settlement) => settlement.outcome === "dead");
  assert.deepEqual(
    dead.map(({ error, message, attempt }) => [error, message, attempt]),
    [
      ["nothing", "channel: body.x: yields nothing", null],
      ["internal", "TypeError: a defect", null],
      ["internal", "TypeError: a late defect", null],
    ],
  );
});

test("what can't be prepared for now is no outcome of the event: it is leased again", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const failed = new Set<string>();
  const prepare: Prepare = (event) => {
    if (failed.has(event.id)) return passing(event, null);
    failed.add(event.id);
    const error = new LeatError("unavailable", "expressions_stopped", "there is no thread for it");
    if (event.id === "throws") throw error;
    return Promise.reject(error);
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { prepare })], []);
  for (const id of ["throws", "rejects"]) ledger.append(newEvent({ id }));

  await waitFor("both", () => subscription.owed === 0);
  assert.equal(subscription.released.length, 2);
  assert.deepEqual(
    sink.messages.map(({ event, attempt }) => [event.id, attempt]),
    [
      ["throws", 1],
      ["rejects", 1],
    ],
  );
});

test("stopping waits for no expression: what is being prepared is handed back, whatever it yields later", async () => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const prepared = Promise.withResolvers<Prepared>();
  let begun = false;
  const prepare: Prepare = () => {
    begun = true;
    return prepared.promise;
  };
  const works = delivery(ledger);
  await works.apply([target("r/s", sink, { prepare })], []);
  const event = ledger.append(newEvent());
  await waitFor("the expression", () => begun);
  await works.stop(0);
  assert.deepEqual(subscription.released, [event.seq]);
  prepared.resolve(passing(event, null));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sink.messages.length, 0);
  assert.equal(subscription.owed, 1);
});

test("a sink that throws, rejects or never settles has failed, and the loop goes on", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink((message) => {
    const { id } = message.event;
    if (id === "rejects") throw new TypeError("a defect");
    if (id === "hangs") return new Promise<Report>(() => {});
    return DELIVERED;
  });
  const policy = { ...POLICY, timeoutMs: 50, retry: { ...SOON, maxAttempts: 1 } };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy })], []);
  for (const id of ["rejects", "hangs", "fine"]) ledger.append(newEvent({ id }));

  await waitFor("all", () => subscription.owed === 0);
  const attempts = subscription.settled.map(({ settlement }) => settlement.attempt);
  const errors = attempts.map((attempt) => attempt?.error).sort();
  assert.deepEqual(errors, ["internal", "timeout", null].sort());
});

test("the signal of an attempt aborts at the sink's timeout", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink(
    (_message, signal) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () =>
          resolve({ result: "failed", error: "timeout", message: String(signal.reason) }),
        ),
      ),
  );
  const policy = { ...POLICY, timeoutMs: 30, retry: { ...SOON, maxAttempts: 1 } };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy })], []);
  ledger.append(newEvent());
  await waitFor("the time-out", () => subscription.owed === 0);
  assert.match(subscription.settled[0]?.settlement.attempt?.message ?? "", /no answer within 30 ms/);
});

test("a time-out that comes late, as after the process stood still, leaves the answer a moment to be read", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  let stood = 0;
  const sink = new TestSink((_message, signal) => {
    stood = 45_000;
    return new Promise((resolve) => {
      setTimeout(() => resolve(signal.aborted ? REFUSED : DELIVERED), 100);
    });
  });
  const works = delivery(ledger, {
    clock: { ...systemClock, monotonic: () => systemClock.monotonic() + stood },
  });
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy: { ...POLICY, timeoutMs: 30 } })], []);
  ledger.append(newEvent());
  await waitFor("the delivery", () => subscription.owed === 0);
  assert.equal(subscription.settled[0]?.settlement.outcome, "delivered");
});

test("a dead letter raises leat.dead in the same settlement; it says what and why, and holds no payload", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  const policy = { ...POLICY, retry: { ...SOON, deadOn: { keyed: [422], unkeyed: [422] } } };
  await works.apply([target("r/s", new TestSink(() => status(422)), { policy })], []);
  const event = ledger.append(newEvent({ key: "k", subject: "sub", body: Buffer.from("secret"), hops: 3 }));

  await waitFor("the death", () => subscription.owed === 0);
  const [raised, ...more] = ledger.of("leat");
  assert.deepEqual(more, []);
  assert.equal(raised?.type, "leat.dead");
  assert.equal(raised?.subject, "r/s");
  assert.equal(raised?.hops, 4);
  assert.deepEqual(json(raised!.body), {
    subscription: "r/s",
    route: "r",
    sink: "s",
    error: "dead_on",
    message: "the receiver answered 422",
    status: 422,
    attempts: 1,
    replay: 0,
    event: { seq: event.seq, id: "e1", source: "in", type: "test", subject: "sub", key: "k" },
  });
});

test("from: leat to a dead receiver raises nothing more: no endless loop", async (t) => {
  const ledger = new MemoryLedger();
  const failing = ledger.subscribe({ name: "r/s" });
  const alarms = ledger.subscribe({ name: "alarms/pager", sources: ["leat"] });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  const policy = {
    ...POLICY,
    retry: { ...SOON, maxAttempts: 2 },
    breaker: { failures: 1, probeMs: 1, maxMs: 1 },
  };
  const dead = new TestSink(() => REFUSED);
  await works.apply([target("r/s", dead, { policy }), target("alarms/pager", dead, { policy })], []);
  ledger.append(newEvent());

  await waitFor("both", () => failing.owed === 0 && alarms.owed === 0);
  assert.deepEqual(
    ledger.of("leat").map(({ type }) => type),
    ["leat.breaker", "leat.dead"],
  );
});

/** Filters this type and passes all else on. */
const filterType =
  (type: string): Prepare =>
  (event, cause) =>
    event.type === type ? { result: "filtered", reason: "match" } : passing(event, cause);

test("an event that has come through more than 8 Leats is dead, unless it would have been filtered", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const sink = new TestSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { prepare: filterType("x") })], []);
  ledger.append(newEvent({ hops: 9, type: "x" }));
  ledger.append(newEvent({ hops: 8 }));
  ledger.append(newEvent({ hops: 9 }));

  await waitFor("all", () => subscription.owed === 0);
  assert.equal(subscription.settled[0]?.settlement.outcome, "filtered");
  assert.equal(sink.messages.length, 1);
  assert.equal(sink.messages[0]?.hops, 9);
  const dead = subscription.settled.find(({ settlement }) => settlement.outcome === "dead")?.settlement;
  assert.equal(dead?.outcome === "dead" && dead.error, "hops");
});

test("a delivery is observed once, after however many attempts, and a replay not at all", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const reports: Report[] = [REFUSED, DELIVERED, DELIVERED, DELIVERED];
  const delivered: string[] = [];
  const observer = {
    ...noObserver,
    delivered: (route: string, sinkName: string) => delivered.push(`${route} ${sinkName}`),
  };
  const works = delivery(ledger, { observer });
  t.after(() => works.stop(0));
  await works.apply([target("r/s", new TestSink(() => reports.shift() ?? DELIVERED))], []);
  const event = ledger.append(newEvent());
  ledger.append(newEvent());
  await waitFor("both", () => subscription.owed === 0);
  subscription.add(event, 1);
  await waitFor("the replay", () => subscription.owed === 0);
  assert.deepEqual(delivered, ["r s", "r s"]);
});

test("a reply is an event of the sink's name, with its cause, appended by the settlement", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const report: Report = {
    result: "delivered",
    status: 200,
    reply: { contentType: "application/json", body: Buffer.from('{"invoice":7}'), truncated: false },
  };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", new TestSink(() => report))], []);
  const event = ledger.append(newEvent({ key: "k", subject: "/x", hops: 1 }));
  await waitFor("the delivery", () => subscription.owed === 0);
  subscription.add(event, 2);
  await waitFor("the replay", () => subscription.owed === 0);

  const [reply, replayed] = ledger.of("s");
  assert.deepEqual(
    [reply?.id, reply?.type, reply?.subject, reply?.key, reply?.cause, reply?.hops],
    [`${event.seq}/r/s`, "reply", "/x", "k", event.seq, 2],
  );
  assert.deepEqual(json(reply!.body), { invoice: 7 });
  assert.equal(replayed?.id, `${event.seq}/r/s/r2`);
});

test("an answer that is too long for an event raises a leat event instead", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const reply = { contentType: null, body: Buffer.alloc(65_536), truncated: true };
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", new TestSink(() => ({ result: "delivered", status: 200, reply })))], []);
  ledger.append(newEvent());
  await waitFor("the delivery", () => subscription.owed === 0);
  assert.equal(ledger.of("s").length, 0);
  const [raised] = ledger.of("leat");
  assert.deepEqual([raised?.type, raised?.subject], ["leat.refused", "s"]);
  assert.equal(json(raised!.body).reason, "too_large");
});

test("a reload's target holds for new attempts; the one under way ends under the old", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const gate = Promise.withResolvers<Report>();
  const old = new TestSink(() => gate.promise);
  const fresh = new TestSink();
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", old)], []);
  ledger.append(newEvent({ id: "first" }));
  await waitFor("the first attempt", () => old.messages.length === 1);

  let swapped = false;
  const swap = works.apply([target("r/s", fresh)], []).then(() => {
    swapped = true;
  });
  ledger.append(newEvent({ id: "second" }));
  await waitFor("the second delivery", () => fresh.messages.length === 1);
  assert.equal(swapped, false, "the old sink is still in use");
  gate.resolve(REFUSED);
  await swap;
  await waitFor("the retry of the first, now to the new sink", () => subscription.owed === 0);
  assert.deepEqual(
    fresh.messages.map(({ event }) => event.id),
    ["second", "first"],
  );
  assert.equal(old.messages.length, 1);
});

test("a removed target gets nothing more, and apply resolves when its last attempt has ended", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const gate = Promise.withResolvers<Report>();
  const sink = new TestSink(() => gate.promise);
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink)], []);
  ledger.append(newEvent());
  await waitFor("the attempt", () => sink.messages.length === 1);
  const removed = works.apply([], []);
  ledger.append(newEvent());
  gate.resolve(DELIVERED);
  await removed;
  assert.equal(subscription.owed, 1);
  assert.equal(sink.messages.length, 1);
  assert.deepEqual(works.status(), []);
});

test("stop lets what is under way finish, hands back what doesn't, and waits for no retry", async () => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s", order: "none" });
  const sink = new TestSink(({ event }, signal) => {
    if (event.id === "retries") return REFUSED;
    return new Promise((resolve) => {
      if (event.id === "quick") setImmediate(resolve, DELIVERED);
      signal.addEventListener("abort", () => resolve({ result: "failed", error: "timeout", message: "" }));
    });
  });
  const policy = { ...POLICY, retry: { ...SOON, initialMs: 3_600_000 } };
  const works = delivery(ledger);
  await works.apply([target("r/s", sink, { policy })], []);
  for (const id of ["retries", "quick", "hangs"]) ledger.append(newEvent({ id }));
  await waitFor("all begun", () => sink.messages.length === 3);
  await works.stop(30);

  const outcomes = subscription.settled.map(({ settlement }) => settlement.outcome);
  assert.deepEqual(outcomes.sort(), ["delivered", "retry"]);
  assert.equal(
    subscription.released.length,
    1,
    "the one that hung was handed back, with no attempt held against it",
  );
  ledger.append(newEvent());
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sink.messages.length, 3, "nothing starts after stop");
});

test("an event with a key waits for the one before it; others flow; and hold keeps the key after a death", async (t) => {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s", onDead: "hold" });
  const sink = new TestSink(({ event, attempt }) => {
    if (event.id === "a1" && attempt === 1) return status(503);
    return event.id === "b1" ? status(422) : DELIVERED;
  });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink, { policy: { ...POLICY, onDead: "hold" } })], []);
  for (const [id, key] of [
    ["a1", "a"],
    ["a2", "a"],
    ["b1", "b"],
    ["b2", "b"],
    ["free", null],
  ] as const) {
    ledger.append(newEvent({ id, key }));
  }
  await waitFor("a2", () => sink.messages.some(({ event }) => event.id === "a2"));
  const ids = sink.messages.map(({ event }) => event.id);
  assert.deepEqual(ids, ["a1", "b1", "free", "a1", "a2"]);
  await waitFor("settled", () => subscription.owed === 1);
});
