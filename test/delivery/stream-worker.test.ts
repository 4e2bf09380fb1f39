import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamFrame, StreamSink } from "../../src/component.ts";
import type { StreamTarget } from "../../src/delivery/target.ts";
import { LeatError } from "../../src/errors.ts";
import type { Seq } from "../../src/event.ts";
import type { StreamIndex } from "../../src/journal/journal.ts";
import { type Clock, systemClock } from "../../src/ports.ts";
import type { Prepare } from "../../src/prepared.ts";
import { waitFor } from "../wait-for.ts";
import { delivery, newEvent, noIndex, passing } from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

class TestStream implements StreamSink {
  readonly published: { seq: Seq; channels: string[] }[] = [];
  readonly tookOver: Seq[] = [];
  onPublish: () => void = () => {};

  endpoint() {
    return { path: "/events", subtree: false, handle() {} };
  }

  async start(): Promise<void> {}

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.published.push({ seq, channels: frames.map(({ channel }) => channel) });
    this.onPublish();
  }

  takeOver(through: Seq): void {
    this.tookOver.push(through);
  }

  async stop(): Promise<void> {}
}

class TestIndex implements StreamIndex {
  readonly writes: Seq[][] = [];
  before: () => Promise<void> = async () => {};
  read = noIndex.read;
  bounds = noIndex.bounds;
  places = noIndex.places;
  seqAt = noIndex.seqAt;
  retain = noIndex.retain;
  lack = noIndex.lack;
  owe = noIndex.owe;
  fill = noIndex.fill;
  reach = noIndex.reach;
  begin = noIndex.begin;
  rename = noIndex.rename;
  onLost = noIndex.onLost;

  async write(
    entries: readonly { stream: string; seq: Seq; frames: readonly StreamFrame[] }[],
  ): Promise<void> {
    await this.before();
    this.writes.push(entries.map(({ seq }) => seq));
  }
}

function toChannel(channel: string): Prepare {
  return (event) => ({ result: "message", body: event.body, contentType: null, fields: { channel } });
}

function setUp(
  routes: Record<string, { prepare: Prepare; sources?: readonly string[] }>,
  { concurrency = 64, clock = systemClock }: { concurrency?: number; clock?: Clock } = {},
) {
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({
    name: "live",
    kind: "stream",
    order: "seq",
    concurrency,
    routes: Object.entries(routes).map(([route, { sources = ["in"] }]) => ({
      route,
      sources,
      start: "now" as const,
    })),
  });
  const sink = new TestStream();
  const index = new TestIndex();
  const works = delivery(ledger, { streams: index, clock });
  const stream: StreamTarget = {
    stream: "live",
    sink,
    routes: new Map(Object.entries(routes).map(([route, { prepare }]) => [route, prepare])),
    channelBytes: 256,
  };
  return { ledger, subscription, sink, index, works, stream };
}

test("publishes strictly by seq, whatever a transform awaits, and the frames of all routes at once", async (t) => {
  let release: () => void = () => {};
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { ledger, subscription, sink, works, stream } = setUp({
    fast: { prepare: toChannel("fast") },
    slow: {
      prepare: (event) =>
        event.id === "waits"
          ? slow.then(() => toChannel("slow")(event, null))
          : toChannel("slow")(event, null),
    },
  });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  const seqs = ["a", "waits", "b", "c"].map((id) => ledger.append(newEvent({ id })).seq);
  await waitFor("the first", () => sink.published.length === 1);
  release();
  await waitFor("all", () => subscription.owed === 0);
  assert.deepEqual(
    sink.published,
    seqs.map((seq) => ({ seq, channels: ["fast", "slow"] })),
  );
});

test("what can't be prepared for now is prepared again, and what comes after it waits", async (t) => {
  let tries = 0;
  const { ledger, subscription, sink, works, stream } = setUp({
    r: {
      prepare(event) {
        if (event.id !== "late" || tries++ > 0) return toChannel("c")(event, null);
        throw new LeatError("unavailable", "expressions_stopped", "there is no thread for it");
      },
    },
  });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  const seqs = ["late", "b"].map((id) => ledger.append(newEvent({ id })).seq);
  await waitFor("both", () => subscription.owed === 0);
  assert.deepEqual(
    sink.published,
    seqs.map((seq) => ({ seq, channels: ["c"] })),
  );
  assert.equal(tries, 2);
});

test("readers get it before the index has it, and the lease is settled only afterwards", async (t) => {
  const { ledger, subscription, sink, index, works, stream } = setUp({ r: { prepare: toChannel("c") } });
  t.after(() => works.stop(0));
  const written = Promise.withResolvers<void>();
  index.before = () => written.promise;
  await works.apply([], [stream]);
  for (let n = 0; n < 10; n++) ledger.append(newEvent());
  await waitFor("published", () => sink.published.length === 10);
  assert.equal(subscription.settled.length, 0);
  written.resolve();
  await waitFor("settled", () => subscription.settled.length === 10);
  assert.ok(index.writes.length <= 2, "what gathered during a write goes into the next one");
  assert.deepEqual(
    index.writes.flat(),
    subscription.settled.map(({ seq }) => seq),
  );
});

test("what comes singly is published at once, and written and settled with what follows; a stop doesn't wait", async (t) => {
  const { ledger, subscription, sink, index, works, stream } = setUp({ r: { prepare: toChannel("c") } });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  for (let n = 1; n <= 10; n++) {
    ledger.append(newEvent());
    await waitFor("published", () => sink.published.length === n);
  }
  await waitFor("settled", () => subscription.settled.length === 10);
  assert.ok(index.writes.length < 10, "fewer writes than events");
  ledger.append(newEvent());
  await waitFor("published", () => sink.published.length === 11);
  await works.stop(5_000);
  assert.equal(subscription.settled.length, 11);
  assert.deepEqual(
    index.writes.flat(),
    subscription.settled.map(({ seq }) => seq),
  );
});

test("what is handed out only once the one before is settled never waits for more to gather", async (t) => {
  const { ledger, subscription, index, works, stream } = setUp(
    { r: { prepare: toChannel("c") } },
    { concurrency: 1, clock: { ...systemClock, after: () => () => {} } },
  );
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  for (let n = 1; n <= 30; n++) ledger.append(newEvent());
  // By this clock no wait ends; the last one has nothing behind it.
  await waitFor("all but the last settled", () => subscription.settled.length === 29);
  assert.equal(index.writes.length, 29);
});

test("an index that can't be written is tried again; nothing is settled meanwhile, nothing is published twice", async (t) => {
  const { ledger, subscription, sink, index, works, stream } = setUp({ r: { prepare: toChannel("c") } });
  t.after(() => works.stop(0));
  let failures = 1;
  index.before = async () => {
    if (failures-- > 0) throw new Error("no space");
  };
  await works.apply([], [stream]);
  ledger.append(newEvent());
  ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  assert.equal(sink.published.length, 2);
  assert.deepEqual(
    index.writes.flat(),
    sink.published.map(({ seq }) => seq),
  );
});

test("an event that yields no frame is announced, indexed and settled too", async (t) => {
  const { ledger, subscription, sink, index, works, stream } = setUp({
    r: { prepare: () => ({ result: "filtered", reason: "match" }) },
  });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  const { seq } = ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  assert.deepEqual(sink.published, [{ seq, channels: [] }]);
  assert.deepEqual(index.writes, [[seq]]);
  const { settlement } = subscription.settled[0]!;
  assert.deepEqual(settlement.outcome === "streamed" && settlement.routes, [{ outcome: "filtered" }]);
});

test("only the routes that the event's source feeds are asked, and outcomes come in their order", async (t) => {
  const { ledger, subscription, works, stream } = setUp({
    other: { prepare: toChannel("x"), sources: ["other"] },
    bad: {
      prepare: () => ({
        result: "dead",
        error: "nothing",
        expression: "body.x",
        path: "channel",
        message: "yields null",
      }),
    },
    throws: {
      prepare: () => {
        throw new TypeError("a defect");
      },
    },
    good: { prepare: toChannel("c") },
  });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  const { settlement } = subscription.settled[0]!;
  assert.deepEqual(settlement.outcome === "streamed" && settlement.routes, [
    { outcome: "dead", error: "nothing", message: "channel: body.x: yields null" },
    { outcome: "dead", error: "internal", message: "TypeError: a defect" },
    { outcome: "delivered" },
  ]);
  assert.deepEqual(
    ledger.of("leat").map(({ type, subject }) => [type, subject]),
    [
      ["leat.dead", "live"],
      ["leat.dead", "live"],
    ],
  );
});

test("what a removed route still owed to a stream stays as a dead letter", async (t) => {
  const { ledger, subscription, works, stream } = setUp({
    stays: { prepare: toChannel("c") },
    gone: { prepare: toChannel("x") },
  });
  t.after(() => works.stop(0));
  const routes = new Map([...stream.routes].filter(([route]) => route === "stays"));
  await works.apply([], [{ ...stream, routes }]);
  ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  const { settlement } = subscription.settled[0]!;
  const message = "the route was removed before the event came to the stream";
  assert.deepEqual(settlement.outcome === "streamed" && settlement.routes, [
    { outcome: "delivered" },
    { outcome: "dead", error: "route_removed", message },
  ]);
});

for (const [what, channel] of [
  ["too long", "c".repeat(257)],
  ["empty", ""],
  ["one with a line's end", "a\nid: 7"],
  ["one with NUL", "a\0"],
] as const) {
  test(`a channel that is ${what} is dead for its route`, async (t) => {
    const { ledger, subscription, sink, works, stream } = setUp({ r: { prepare: toChannel(channel) } });
    t.after(() => works.stop(0));
    await works.apply([], [stream]);
    ledger.append(newEvent());
    await waitFor("settled", () => subscription.owed === 0);
    const { settlement } = subscription.settled[0]!;
    const [route] = settlement.outcome === "streamed" ? settlement.routes : [];
    assert.equal(route?.outcome === "dead" && route.error, "channel");
    assert.deepEqual(sink.published[0]?.channels, []);
  });
}

test("stop hands back what the index never took, and a new worker publishes it again", async () => {
  const { ledger, subscription, sink, index, works, stream } = setUp({ r: { prepare: toChannel("c") } });
  index.before = () => new Promise(() => {});
  await works.apply([], [stream]);
  ledger.append(newEvent());
  await waitFor("published", () => sink.published.length === 1);
  await works.stop(20);
  assert.equal(subscription.released.length, 1);
  assert.equal(subscription.owed, 1);

  index.before = async () => {};
  const again = delivery(ledger, { streams: index });
  await again.apply([], [stream]);
  await waitFor("settled", () => subscription.owed === 0);
  assert.equal(sink.published.length, 2);
  await again.stop(0);
});

test("a sink that replaces another is told how far that one got, and is handed what was under way for it", async (t) => {
  const held = Promise.withResolvers<void>();
  let underWay = false;
  const { ledger, subscription, sink, works, stream } = setUp({
    r: {
      prepare(event) {
        if (event.id !== "waits") return toChannel("old")(event, null);
        underWay = true;
        return held.promise.then(() => toChannel("old")(event, null));
      },
    },
  });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  const first = ledger.append(newEvent({ id: "a" })).seq;
  await waitFor("the first", () => subscription.owed === 0);
  const waits = ledger.append(newEvent({ id: "waits" })).seq;
  await waitFor("it to be under way", () => underWay);

  const heir = new TestStream();
  const ended = works.apply([], [{ ...stream, sink: heir, routes: new Map([["r", toChannel("new")]]) }]);
  assert.deepEqual(heir.tookOver, [first]);
  const last = ledger.append(newEvent({ id: "b" })).seq;
  held.resolve();
  await ended;
  await waitFor("all", () => subscription.owed === 0);
  const both = [
    { seq: waits, channels: ["old"] },
    { seq: last, channels: ["new"] },
  ];
  assert.deepEqual(heir.published, both);
  // Its readers may not have been sent away yet.
  assert.deepEqual(sink.published.slice(1), both);

  works.stopped([sink]);
  ledger.append(newEvent({ id: "c" }));
  await waitFor("the last", () => subscription.owed === 0);
  assert.deepEqual([heir.published.length, sink.published.length], [3, 3]);
});

test("a reload that keeps the sink hands it nothing twice", async (t) => {
  const { ledger, subscription, sink, works, stream } = setUp({ r: { prepare: toChannel("c") } });
  t.after(() => works.stop(0));
  await works.apply([], [stream]);
  await works.apply([], [{ ...stream }]);
  ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  assert.equal(sink.published.length, 1);
});

test("a sink that fails to publish doesn't stop the stream: the index has it", async (t) => {
  const { ledger, subscription, sink, index, works, stream } = setUp({ r: { prepare: passing } });
  t.after(() => works.stop(0));
  sink.onPublish = () => {
    throw new Error("a defect");
  };
  await works.apply([], [{ ...stream, routes: new Map([["r", toChannel("c")]]) }]);
  ledger.append(newEvent());
  ledger.append(newEvent());
  await waitFor("settled", () => subscription.owed === 0);
  assert.equal(index.writes.flat().length, 2);
});

test("what lapses on both sides of an event under way is told on both, and the index knows it in the same order", async (t) => {
  const held = Promise.withResolvers<void>();
  const { ledger, subscription, sink, index, works, stream } = setUp({
    r: { prepare: (event, cause) => held.promise.then(() => toChannel("c")(event, cause)) },
  });
  t.after(() => works.stop(0));
  const told: (Seq | string)[] = [];
  const hearing = Object.assign(sink, { lapse: (through: Seq) => void told.push(`lapse ${through}`) });
  sink.onPublish = () => told.push(sink.published.at(-1)?.seq ?? 0);
  const kept: (Seq | string)[] = [];
  index.begin = async (_stream, from) => void kept.push(`begin ${from}`);
  index.before = async () => void kept.push("write");
  await works.apply([], [{ ...stream, sink: hearing }]);
  const { seq } = ledger.append(newEvent());
  subscription.lapses = [seq - 1, seq + 1];
  held.resolve();
  await waitFor("settled", () => subscription.owed === 0);
  await waitFor("the second", () => told.length === 3);
  assert.deepEqual(told, [`lapse ${seq - 1}`, seq, `lapse ${seq + 1}`]);
  assert.deepEqual(kept, [`begin ${seq - 1}`, "write", `begin ${seq + 1}`]);
});
