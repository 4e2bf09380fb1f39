import assert from "node:assert/strict";
import { test } from "node:test";
import type { Settlement } from "../../../src/journal/journal.ts";
import type { DeliveryRow } from "../../../src/journal/sqlite/group.ts";
import { replayEvent } from "../../../src/journal/sqlite/replay-event.ts";
import { Bench, definition, turn } from "./subscription-kit.ts";

const delivered: Settlement = { outcome: "delivered", attempt: null };
const filtered: Settlement = { outcome: "filtered", attempt: null };
const dead: Settlement = { outcome: "dead", attempt: null, error: "status", message: "no" };
const retry = (delayMs: number): Settlement => ({ outcome: "retry", attempt: null, delayMs });
const DAY = 86_400_000;

function row(part: Partial<DeliveryRow>): DeliveryRow {
  const none = { attempts: 0, firstAttemptAt: null, due: null, delay: null };
  return { seq: 1, replay: 0, state: "leased", key: null, ...none, ...part };
}

test("caught up, a settled event moves the cursor and needs no row", async () => {
  const bench = new Bench();
  bench.append({}, {}, { source: "other" });
  const [first, second] = bench.lease();
  const done = bench.subscription.settle(first!, delivered);
  assert.equal(bench.subscription.settle(second!, filtered), done, "one promise for all of a commit");
  const delta = bench.commit();
  assert.equal(delta?.cursor, 3, "also past what nobody owes");
  assert.deepEqual([delta?.put, delta?.remove], [[], []]);
  assert.deepEqual(
    delta?.accounts.map(({ pending, delivered: yes, filtered: no }) => [pending, yes, no]),
    [[-2, 1, 1]],
  );
  await done;
  assert.equal(bench.take(), null, "nothing more to write");
});

test("the cursor passes an in-flight head by giving the head a row", () => {
  const bench = new Bench();
  bench.append({}, {}, {}, {});
  const leases = bench.lease(3);
  void bench.subscription.settle(leases[1]!, delivered);
  void bench.subscription.settle(leases[2]!, delivered);
  const delta = bench.commit();
  assert.equal(delta?.cursor, 3);
  assert.deepEqual(
    delta?.put.map(({ seq, state }) => [seq, state]),
    [[1, "leased"]],
  );
  void bench.subscription.settle(leases[0]!, delivered);
  const next = bench.commit();
  assert.deepEqual(next?.remove, [{ seq: 1, replay: 0 }]);
  assert.equal(next?.cursor, 3);
});

test("what waits for its key gets a row only when the cursor passes it", () => {
  const bench = new Bench();
  bench.append({ key: "k" }, { key: "k" }, {});
  const [head, free] = bench.lease();
  assert.deepEqual([head?.event.seq, free?.event.seq], [1, 3]);
  assert.equal(bench.commit(), null);
  void bench.subscription.settle(free!, delivered);
  assert.deepEqual(
    bench.commit()?.put.map(({ seq, state, key }) => [seq, state, key]),
    [
      [1, "leased", "k"],
      [2, "parked", "k"],
    ],
  );
  void bench.subscription.settle(head!, delivered);
  assert.deepEqual(bench.seqs(), [2], "its turn has come, without waiting for the commit");
});

test("a delta that could not be committed comes before what was gathered since", async () => {
  const bench = new Bench();
  bench.append({}, {}, {});
  const [first, second, third] = bench.lease();
  let resolved = false;
  const done = bench.subscription.settle(first!, retry(10)).then(() => {
    resolved = true;
  });
  const failed = bench.take();
  void bench.subscription.settle(second!, delivered);
  const alsoFailed = bench.take();
  void bench.subscription.settle(third!, dead);
  bench.subscription.restoreDelta(alsoFailed!);
  bench.subscription.restoreDelta(failed!);
  await turn();
  assert.equal(resolved, false);
  assert.equal(bench.counts.inFlight, 3);
  const delta = bench.commit();
  assert.equal(delta?.cursor, 3);
  assert.deepEqual(
    delta?.put.map(({ seq, state }) => [seq, state]),
    [[1, "retrying"]],
  );
  const [moves] = delta!.accounts;
  assert.deepEqual([moves?.pending, moves?.retrying, moves?.delivered, moves?.dead], [-3, 1, 1, 1]);
  await done;
  assert.deepEqual([bench.counts.inFlight, bench.counts.retrying], [0, 1]);
});

test("a retry waits from its commit on, on the monotonic clock", async () => {
  const bench = new Bench();
  bench.append({});
  const [lease] = bench.lease();
  void bench.subscription.settle(lease!, retry(5000));
  bench.clock.pass(6000);
  await turn();
  assert.deepEqual(bench.seqs(), [], "not before its settlement is committed");
  bench.commit();
  bench.clock.step(-DAY);
  bench.clock.pass(1);
  await turn();
  assert.deepEqual(bench.seqs(), [1]);
});

test("J7: a stored due time is never further away than the delay it was stored with", async () => {
  const bench = new Bench(
    {},
    {
      cursor: 1,
      rows: [row({ state: "retrying", attempts: 1, due: 1_800_000_000_000 + DAY, delay: 2000 })],
    },
    false,
    [{}],
  );
  bench.clock.pass(1999);
  await turn();
  assert.deepEqual(bench.seqs(), []);
  bench.clock.pass(1);
  await turn();
  const [lease] = bench.lease();
  assert.equal(lease?.attempt, 2);
});

test("while settlements can't commit, nothing is leased", () => {
  const bench = new Bench();
  bench.append({});
  bench.sink.stalled = true;
  assert.deepEqual(bench.seqs(), []);
  bench.sink.stalled = false;
  assert.deepEqual(bench.seqs(), [1]);
});

test("behind the ring it reads pages, and misses nothing where the two meet", async () => {
  const bench = new Bench({ concurrency: 1000 });
  bench.feed.ringFrom = 251;
  for (let n = 0; n < 300; n++) bench.append(n % 2 === 0 ? {} : { source: "other" });
  const seen: number[] = [];
  for (let n = 0; n < 20; n++) {
    seen.push(...bench.seqs(1000));
    await turn();
  }
  assert.deepEqual(
    seen,
    Array.from({ length: 150 }, (_, n) => 2 * n + 1),
  );
  assert.ok(bench.feed.pages <= 4, `${bench.feed.pages} pages`);
});

test("a hot key with a dead receiver holds no more than its bound in memory, nor its bodies", () => {
  const bench = new Bench();
  bench.append({ key: "hot" });
  const [head] = bench.lease();
  for (let n = 0; n < 12; n++) {
    const body = Buffer.alloc(4096);
    bench.append(...Array.from({ length: 1000 }, () => ({ key: "hot", body })));
    bench.lease();
  }
  assert.equal(bench.subscription.reading, false);
  assert.ok(bench.subscription.next <= 10_002, `read up to ${bench.subscription.next}`);
  void bench.subscription.settle(head!, delivered);
  assert.deepEqual(bench.seqs(), [2]);
  assert.equal(bench.subscription.lease(10).length, 0);
});

test("its cursor follows events that nobody owes lazily, and at once when it is flushed", () => {
  const bench = new Bench();
  bench.append({ source: "other" });
  assert.equal(bench.take(), null);
  for (let n = 0; n < 1100; n++) bench.append({ source: "other" });
  assert.ok(bench.dirty);
  assert.equal(bench.commit()?.cursor, 1101);
  bench.append({ source: "other" });
  bench.subscription.flush();
  assert.equal(bench.commit()?.cursor, 1102);
});

test("a removed subscription hands out nothing and settles what is out", () => {
  const bench = new Bench();
  bench.append({}, {});
  const [first] = bench.lease(1);
  const spans = [{ after: 0, until: 2, sources: ["a"], counted: 0 }];
  bench.subscription.change(definition(), [{ route: "r", spans }], false, 2);
  bench.append({});
  assert.deepEqual(bench.seqs(), []);
  assert.equal(bench.counts.accepted, 2);
  void bench.subscription.settle(first!, delivered);
  assert.equal(bench.commit()?.cursor, 1);
});

test("J6: a removed subscription that owes nothing holds nothing back from retention", () => {
  const bench = new Bench();
  bench.append({});
  bench.append(...Array.from({ length: 500 }, () => ({ source: "other" })));
  const [only] = bench.lease(1);
  const spans = [{ after: 0, until: 501, sources: ["a"], counted: 0 }];
  bench.subscription.change(definition(), [{ route: "r", spans }], false, 501);
  void bench.subscription.settle(only!, delivered);
  bench.subscription.flush();
  assert.equal(bench.commit()?.cursor, 1, "not before its last settlement is committed");
  bench.subscription.flush();
  assert.equal(bench.commit()?.cursor, 501);
});

test("a changed order waits for what is in flight", () => {
  const bench = new Bench({ order: "none" });
  bench.append({ key: "k" }, { key: "k" }, { key: "k" });
  const [first, second] = bench.lease(2);
  const routes = [{ route: "r", spans: [{ after: 0, until: null, sources: ["a"], counted: 0 }] }];
  bench.subscription.change(definition({ order: "key" }), routes, true, null);
  assert.deepEqual(bench.seqs(), []);
  void bench.subscription.settle(first!, delivered);
  assert.deepEqual(bench.seqs(), []);
  bench.subscription.release(second!);
  assert.deepEqual(bench.seqs(), [2]);
  assert.deepEqual(bench.seqs(), [], "3 waits for its key now");
});

test("J7: what a reload's order puts behind its key's head still waits for its own retry", () => {
  const bench = new Bench({ order: "none" });
  bench.append({ key: "k" }, { key: "k" });
  const [head, next] = bench.lease();
  void bench.subscription.settle(head!, retry(1_000));
  void bench.subscription.settle(next!, retry(5_000));
  bench.commit();
  const routes = [{ route: "r", spans: [{ after: 0, until: null, sources: ["a"], counted: 0 }] }];
  bench.subscription.change(definition({ order: "key" }), routes, true, null);
  bench.clock.pass(1_000);
  const [again] = bench.lease();
  assert.equal(again?.event.seq, 1);
  void bench.subscription.settle(again!, delivered);
  assert.deepEqual(bench.seqs(), [], "the head has gone, and 2 isn't due");
  bench.clock.pass(4_000);
  assert.deepEqual(bench.seqs(), [2]);
});

test("J6: by age what is free expires, not what waits for its key's head", async () => {
  const bench = new Bench();
  bench.append({ key: "k" }, { key: "k" }, {});
  const [head] = bench.lease(1);
  void bench.subscription.settle(head!, retry(3 * DAY));
  bench.commit();
  bench.lease(0);
  bench.clock.pass(2 * DAY);
  const [free] = bench.lease();
  assert.equal(free?.event.seq, 3);
  bench.subscription.release(free!);
  bench.subscription.letGoOld(bench.clock.wall() - DAY, "age");
  const delta = bench.commit();
  assert.deepEqual(
    delta?.expired.map(({ from, to, reason }) => [from, to, reason]),
    [
      [1, 1, "age"],
      [3, 3, "age"],
    ],
  );
  assert.deepEqual(bench.seqs(), [2], "its key became free just now");
});

test("J6: what became free while the clock was set back is no older than its event", () => {
  const bench = new Bench();
  bench.append({ key: "k" }, { key: "k" });
  const [head] = bench.lease();
  bench.clock.step(-2 * DAY);
  void bench.subscription.settle(head!, delivered);
  bench.clock.step(2 * DAY);
  bench.subscription.letGoOld(bench.clock.wall() - DAY, "age");
  assert.deepEqual(bench.commit()?.expired, []);
  assert.deepEqual(bench.seqs(), [2]);
});

test("J6: what was never read expires as one range, and is counted", async () => {
  const bench = new Bench();
  bench.append({}, { source: "other" }, {}, {}, {});
  const expired = bench.subscription.letGo({ through: 4, outcome: "expired", reason: "size" });
  const delta = bench.commit();
  assert.deepEqual(delta?.expired, [{ from: 1, to: 4, reason: "size" }]);
  assert.equal(delta?.cursor, 4);
  assert.equal(await expired, 3);
  assert.deepEqual([bench.counts.expired, bench.counts.pending], [3, 1]);
  assert.deepEqual(bench.seqs(), [5]);
});

test("between which of its events a stream's readers miss something is known", () => {
  const bench = new Bench({ kind: "stream", order: "seq" });
  const { subscription } = bench;
  const purge = (through: number) =>
    void subscription.letGo({ through, outcome: "purged", reason: "purged" });
  bench.append({}, {}, {}, {}, {}, {}, {}, {});
  const early = bench.lease(2);
  assert.equal(subscription.lapsed(), 0);
  purge(5);
  assert.deepEqual([subscription.lapsed(3), subscription.lapsed(6)], [0, 5]);
  assert.equal(subscription.lapsed(), 0, "1 and 2 are still under way");
  for (const lease of early) void subscription.settle(lease, delivered);
  assert.equal(subscription.lapsed(), 5);
  const [late] = bench.lease(1);
  assert.equal(late?.event.seq, 6);
  purge(8);
  assert.deepEqual([subscription.lapsed(6), subscription.lapsed(), subscription.lapsed(9)], [5, 5, 8]);
  void subscription.settle(late!, delivered);
  assert.equal(subscription.lapsed(), 8);
});

test("a replay into a stream that is purged before its readers get it is missed like any event", () => {
  const bench = new Bench({ kind: "stream", order: "seq" });
  const { subscription } = bench;
  const replay = replayEvent("r/s", { seq: 1, replay: 1, routes: ["r"] }, bench.clock.wall());
  bench.append({}, replay, {});
  subscription.replayed(["r"], null);
  const [first] = bench.lease(1);
  bench.feed.ringFrom = 2;
  assert.deepEqual(bench.seqs(), [], "what it stands for has yet to be read");
  void subscription.letGo({ through: 2, outcome: "purged", reason: "purged" });
  void subscription.settle(first!, delivered);
  assert.equal(subscription.lapsed(3), 2);
  const delta = bench.commit();
  assert.deepEqual(delta?.expired, [], "no event of the journal's has expired");
  assert.deepEqual(bench.seqs(), [3]);
});

test("what lapsed behind a stream's replay that is under way is told of only after it, also once that has a row", async () => {
  const bench = new Bench({ kind: "stream", order: "seq" });
  const { subscription } = bench;
  const replay = replayEvent("r/s", { seq: 1, replay: 1, routes: ["r"] }, bench.clock.wall());
  bench.append({}, replay, {}, {});
  subscription.replayed(["r"], null);
  const [first] = bench.lease();
  // What it stands for is read.
  await new Promise((resolve) => setImmediate(resolve));
  const [replayed, third] = bench.lease(2);
  assert.deepEqual([replayed?.event.seq, replayed?.replay], [2, 1]);
  void subscription.settle(first!, delivered);
  void subscription.settle(third!, delivered);
  assert.deepEqual(
    bench.commit()?.put.map(({ seq }) => seq),
    [2],
    "the cursor has passed it",
  );
  void subscription.letGo({ through: 4, outcome: "purged", reason: "purged" });
  assert.equal(subscription.lapsed(), 0);
  void subscription.settle(replayed!, delivered);
  assert.equal(subscription.lapsed(), 4);
});

test("a purge spares nothing that is in flight a second try", async () => {
  const bench = new Bench();
  bench.append({}, {}, {});
  const [first, second] = bench.lease(2);
  const purged = bench.subscription.letGo({ through: 3, outcome: "purged", reason: "purged" });
  void bench.subscription.settle(first!, retry(1000));
  bench.subscription.release(second!);
  const delta = bench.commit();
  assert.equal(await purged, 1);
  assert.deepEqual(delta?.put, []);
  assert.deepEqual([bench.counts.purged, bench.counts.inFlight, bench.counts.pending], [3, 0, 0]);
  assert.deepEqual(bench.seqs(), []);
});

test("events from before its start are counted when they are read", () => {
  const spans = [{ after: 0, until: null, sources: ["a"], counted: 2 }];
  const bench = new Bench({}, { routes: [{ route: "r", spans }] }, false, [{}, {}]);
  assert.equal(bench.counts.accepted, 0);
  const [first, second] = bench.lease();
  assert.equal(bench.counts.accepted, 2);
  void bench.subscription.settle(second!, delivered);
  const delta = bench.commit();
  assert.deepEqual(
    delta?.put.map(({ seq }) => seq),
    [1],
  );
  assert.deepEqual(
    delta?.accounts.map(({ accepted, pending, delivered: yes }) => [accepted, pending, yes]),
    [[2, 1, 1]],
  );
  void bench.subscription.settle(first!, delivered);
  assert.deepEqual(
    bench.commit()?.accounts.map(({ accepted, pending }) => [accepted, pending]),
    [[0, -1]],
  );
  const { accepted, pending, inFlight, delivered: yes } = bench.counts;
  assert.deepEqual([accepted, pending, inFlight, yes], [2, 0, 0, 2]);
});

test("an event that is nowhere, or damaged, is dead and says so", async () => {
  const bench = new Bench({}, { cursor: 2, rows: [row({ seq: 1 }), row({ seq: 9, replay: 1 })] }, false, [
    { type: "leat.damaged" },
    {},
  ]);
  await turn();
  assert.deepEqual(
    bench.commit()?.dead.map(({ seq, replay, error }) => [seq, replay, error]),
    [
      [1, 0, "damaged_row"],
      [9, 1, "event_missing"],
    ],
  );
});

test("a lease ends once", () => {
  const bench = new Bench();
  bench.append({});
  const [lease] = bench.lease();
  void bench.subscription.settle(lease!, delivered);
  assert.throws(() => bench.subscription.release(lease!), /ended before/);
});

test("after an unclean stop it works singly, each recorded before it is handed out", () => {
  const bench = new Bench({ concurrency: 2 }, {}, true, [{}, {}, {}, {}]);
  for (const seq of [1, 2]) {
    assert.deepEqual(bench.seqs(), [], "not recorded yet");
    const delta = bench.commit();
    assert.equal(delta?.suspect, seq);
    const [lease] = bench.lease();
    assert.equal(lease?.event.seq, seq);
    assert.deepEqual(bench.seqs(), [], "one at a time");
    void bench.subscription.settle(lease!, delivered);
  }
  assert.deepEqual(bench.seqs(), [3, 4], "past what was in flight");
  assert.deepEqual(bench.commit()?.cleared, [2]);
});

test("what was in flight at an unclean stop is first, and suspect while it is released too", async () => {
  const bench = new Bench({ concurrency: 1 }, { cursor: 2, rows: [row({ seq: 1 })] }, true, [{}, {}]);
  await turn();
  bench.lease();
  assert.equal(bench.commit()?.suspect, 1);
  const [lease] = bench.lease();
  bench.subscription.release(lease!);
  assert.deepEqual(bench.seqs(), [1], "recorded already");
  assert.equal(bench.commit(), null);
});

test("what was found suspect at three unclean stops is dead (crashed)", () => {
  const bench = new Bench({ concurrency: 2 }, { crashed: [1] }, true, [{}, {}]);
  bench.lease();
  const delta = bench.commit();
  assert.deepEqual(
    delta?.dead.map(({ seq, error }) => [seq, error]),
    [[1, "crashed"]],
  );
  assert.deepEqual([delta?.cleared, delta?.suspect], [[1], 2]);
  assert.deepEqual(bench.seqs(), [2]);
});

test("a cause is read before its reply is handed out", async () => {
  const bench = new Bench();
  bench.append({ source: "other" });
  bench.feed.ringFrom = 2;
  bench.append({ cause: 1 }, {});
  assert.deepEqual(bench.seqs(), [3]);
  await turn();
  const [lease] = bench.lease();
  assert.equal(lease?.cause?.seq, 1);
  assert.deepEqual(bench.feed.loaded, [1]);
});

test("onReady is told once, and not while lease runs", async () => {
  const bench = new Bench();
  let told = 0;
  bench.subscription.onReady(() => told++);
  await turn();
  told = 0;
  bench.append({});
  bench.append({});
  assert.equal(told, 0);
  await turn();
  assert.equal(told, 1);
});

test("losing the journal rejects what waits", async () => {
  const bench = new Bench();
  bench.append({}, {});
  const [first, second] = bench.lease();
  const waiting = bench.subscription.settle(first!, delivered);
  bench.subscription.lost(null, new Error("lost"));
  await assert.rejects(waiting, /lost/);
  await assert.rejects(bench.subscription.settle(second!, delivered), /lost/);
});

test("a row whose delta failed does not come back once its delivery is settled", () => {
  const bench = new Bench();
  bench.append({}, {});
  const [head, behind] = bench.lease();
  void bench.subscription.settle(behind!, delivered);
  const failed = bench.take();
  assert.deepEqual(
    failed?.delta.put.map(({ seq }) => seq),
    [1],
  );
  void bench.subscription.settle(head!, delivered);
  bench.subscription.restoreDelta(failed!);
  const delta = bench.commit();
  assert.deepEqual(delta?.put, []);
  assert.deepEqual(delta?.remove, [{ seq: 1, replay: 0 }]);
});

test("a retry that waits for its commit keeps its key when a reload brings the order", async () => {
  const bench = new Bench({ order: "none" });
  bench.append({ key: "k" }, { key: "k" });
  const [first] = bench.lease(1);
  void bench.subscription.settle(first!, retry(1000));
  const routes = [{ route: "r", spans: [{ after: 0, until: null, sources: ["a"], counted: 0 }] }];
  bench.subscription.change(definition({ order: "key" }), routes, true, null);
  assert.deepEqual(bench.seqs(), []);
  bench.commit();
  bench.clock.pass(1000);
  await turn();
  assert.deepEqual(bench.seqs(), [1]);
});

test("by seq nothing overtakes an event whose cause is still being read, or that was released", async () => {
  const bench = new Bench({ kind: "stream", order: "seq", concurrency: 4 });
  bench.append({ source: "other" });
  bench.feed.ringFrom = 2;
  bench.append({}, { cause: 1 }, {});
  const [first] = bench.lease();
  assert.equal(first?.event.seq, 2);
  assert.deepEqual(bench.seqs(), [], "4 waits for 3");
  await turn();
  const rest = bench.lease();
  assert.deepEqual(
    rest.map(({ event }) => event.seq),
    [3, 4],
  );
  for (const lease of [first!, ...rest]) bench.subscription.release(lease);
  assert.deepEqual(bench.seqs(), [2, 3, 4]);
});
