/** What SSE and later streams share: positions, channels, the feed, the wheel. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import fc from "fast-check";
import type { ChannelSelection, StreamFrame } from "../../src/component.ts";
import type { Clock } from "../../src/ports.ts";
import { sseSink } from "../../src/sinks/sse/sink.ts";
import { compileSelection, selectChannels } from "../../src/sinks/stream/channels.ts";
import { Feed, type Follower, type Group } from "../../src/sinks/stream/feed.ts";
import { askedPosition, resolvePosition } from "../../src/sinks/stream/position.ts";
import { Wheel } from "../../src/sinks/stream/wheel.ts";
import { waitFor } from "../wait-for.ts";
import { frame, openTo, StreamUnderTest, TestReader } from "./stream-kit.ts";

after(() => StreamUnderTest.closeAll());

describe("positions", () => {
  const known = { oldest: 100, newest: 200, committed: 205 };

  test("what is asked for", () => {
    const query = (text: string) => new URLSearchParams(text);
    assert.equal(askedPosition(undefined, query("")), null);
    assert.equal(askedPosition("", query("")), null);
    assert.equal(askedPosition("7", query("last_event_id=8")), 7);
    assert.equal(askedPosition(undefined, query("last_event_id=8&since=9")), 8);
    assert.equal(askedPosition(undefined, query("since=9")), 9);
    for (const bad of ["-1", "1.5", " 1", "0x1", "9007199254740993", "٣"]) {
      assert.equal(askedPosition(bad, query("")), bad);
    }
  });

  test("what becomes of it", () => {
    assert.deepEqual(resolvePosition(150, known), { position: 150, gap: null });
    assert.deepEqual(resolvePosition(100, known), { position: 100, gap: null });
    assert.deepEqual(resolvePosition(205, known), { position: 205, gap: null });
    assert.equal(resolvePosition(99, known).position, 100);
    // Ahead of all that was handed out: a backup was put back, and it knows nothing of what came since.
    const gap = { asked: 206, oldest: 100, newest: 200 };
    assert.deepEqual(resolvePosition(206, known), { position: 100, gap });
    assert.deepEqual(resolvePosition(206, { ...known, afresh: 190 }), { position: 190, gap });
    assert.deepEqual(resolvePosition("x", known).gap, { asked: "x", oldest: 100, newest: 200 });
    // An index that knows nothing can't vouch for a position.
    assert.notEqual(resolvePosition(150, { oldest: 0, newest: 0, committed: 300 }).gap, null);
    assert.deepEqual(resolvePosition(0, { oldest: 0, newest: 0, committed: 300 }), {
      position: 0,
      gap: null,
    });
  });
});

test("a reader never gets a channel that no entry covers", () => {
  const part = fc.string({ unit: fc.constantFrom("a", "b", ".", "/", "*", "**", "\\"), maxLength: 6 });
  const literal = fc.string({ unit: fc.constantFrom("a", "b", ".", "/", "*", "\\"), maxLength: 6 });
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 3 }),
      fc.array(part, { maxLength: 3 }),
      literal,
      (entries, asked, channel) => {
        const selected = selectChannels(openTo(entries), asked);
        if (!selected.allowed) return;
        if (!compileSelection(selected.selection)(channel)) return;
        assert.ok(compileSelection({ exact: [], patterns: entries })(channel), `${asked} got ${channel}`);
      },
    ),
    { numRuns: 3000 },
  );
});

test("patterns that cost each event something are few for each reader, those that the stream lists apart", () => {
  const many = (pattern: (n: number) => string) => Array.from({ length: 60 }, (_, n) => pattern(n));
  const listed = many((n) => `*.listed${n}`);
  const grants = openTo(["**", ...listed]);
  const refusal = (asked: string[]) => {
    const selected = selectChannels(grants, asked);
    return selected.allowed ? null : [selected.status, selected.code];
  };
  assert.equal(refusal(many((n) => `room.${n}.*`)), null);
  assert.equal(refusal([...listed, ...many((n) => `*.own${n}`).slice(0, 10)]), null);
  assert.deepEqual(refusal(many((n) => `*.own${n}`).slice(0, 11)), [400, "too_many_patterns"]);
});

class Recorder implements Follower {
  readonly selection: ChannelSelection;
  readonly got: string[] = [];
  readonly fallen: boolean[] = [];
  position = 0;
  live = false;
  room = Number.POSITIVE_INFINITY;

  constructor(selection: ChannelSelection) {
    this.selection = selection;
  }

  prefetch(): void {}

  receive(group: Group, matched: readonly number[]): boolean {
    this.got.push(...group.pick(matched).map(({ body }) => `${group.seq}:${body}`));
    this.position = group.seq;
    return --this.room > 0;
  }

  fallBack(lapsed: boolean): void {
    this.live = false;
    this.fallen.push(lapsed);
  }
}

describe("the feed", () => {
  const encode = (_seq: number, frames: readonly StreamFrame[]) =>
    Buffer.concat(frames.map(({ body }) => Buffer.from(body)));
  const all = { exact: [], patterns: ["**"] };

  test("hands the ring over to one who joins, and stops where that one has enough", () => {
    const feed = new Feed(encode);
    feed.advance(10);
    for (let seq = 11; seq <= 20; seq++) feed.publish(seq, [frame("a", "x")]);
    const late = new Recorder(all);
    assert.equal(feed.join(late, 15), true);
    assert.deepEqual(late.got, ["16:x", "17:x", "18:x", "19:x", "20:x"]);
    const early = new Recorder(all);
    assert.equal(feed.join(early, 9), false);
    assert.deepEqual(early.got, []);
    const slow = new Recorder(all);
    slow.room = 3;
    assert.equal(feed.join(slow, 10), false);
    assert.equal(slow.position, 13);
    feed.publish(21, [frame("a", "x")]);
    assert.equal(slow.position, 13);
    assert.equal(late.position, 21);
  });

  test("sheds its oldest, bounded in bytes and in number", () => {
    const feed = new Feed(encode);
    feed.advance(1);
    for (let seq = 2; seq <= 20; seq++) feed.publish(seq, [frame("a", "x".repeat(300_000))]);
    assert.equal(feed.join(new Recorder(all), 10), false);
    assert.equal(feed.join(new Recorder(all), 19), true);
    for (let seq = 21; seq <= 6000; seq++) feed.publish(seq, [frame("a", "x")]);
    assert.equal(feed.join(new Recorder(all), 1000), false);
    assert.equal(feed.join(new Recorder(all), 3000), true);
  });

  test("drops what it was handed before", () => {
    const feed = new Feed(encode);
    feed.advance(10);
    const follower = new Recorder(all);
    assert.equal(feed.join(follower, 10), true);
    feed.publish(9, [frame("a", "old")]);
    feed.publish(10, [frame("a", "old")]);
    assert.deepEqual(follower.got, []);
  });

  test("what another published is for the history: who is live already falls back to it, once", () => {
    const feed = new Feed(encode);
    feed.advance(10);
    const [there, ahead] = [new Recorder(all), new Recorder(all)];
    assert.equal(feed.join(there, 10), true);
    feed.takeOver(10);
    assert.deepEqual(there.fallen, []);
    feed.takeOver(13);
    feed.takeOver(13);
    assert.deepEqual(there.fallen, [false]);
    assert.equal(feed.published, 13);
    assert.equal(feed.join(there, 12), false);
    assert.equal(feed.join(ahead, 13), true);
    feed.publish(14, [frame("a", "new")]);
    assert.deepEqual([there.got, ahead.got.length], [[], 1]);
  });

  test("one piece of bytes for all who get the same frames", () => {
    const feed = new Feed(encode);
    feed.advance(1);
    const chunks = new Set<Buffer>();
    for (const selection of [all, all, { exact: ["a"], patterns: [] }, { exact: ["a", "b"], patterns: [] }]) {
      const follower = new Recorder(selection);
      follower.receive = (group, matched) => {
        chunks.add(group.chunk(matched));
        return true;
      };
      feed.join(follower, 1);
    }
    feed.publish(2, [frame("a", "1"), frame("b", "2")]);
    assert.deepEqual([...chunks].map(String).sort(), ["1", "12"]);
  });

  test("one who left, or had enough, gets nothing more", () => {
    const feed = new Feed(encode);
    feed.advance(1);
    const gone = new Recorder({ exact: ["a"], patterns: ["b*"] });
    const full = new Recorder({ exact: ["a"], patterns: ["b*"] });
    full.room = 1;
    feed.join(gone, 1);
    feed.join(full, 1);
    feed.leave(gone);
    for (let seq = 2; seq <= 4; seq++) feed.publish(seq, [frame("a", "x"), frame("b1", "y")]);
    assert.deepEqual(gone.got, []);
    assert.deepEqual(full.got, ["2:x", "2:y"]);
  });
});

test("the wheel visits each once a period, by one timer", () => {
  let now = 0;
  let timers: { at: number; callback: () => void }[] = [];
  const clock: Clock = {
    wall: () => now,
    monotonic: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  };
  const visits = new Map<number, number>();
  const wheel = new Wheel<number>(clock, 1600, (item) => visits.set(item, (visits.get(item) ?? 0) + 1));
  for (let item = 0; item < 100; item++) wheel.add(item);
  assert.equal(timers.length, 1);
  const run = (ms: number) => {
    for (const end = now + ms; ; ) {
      const next = timers.toSorted((a, b) => a.at - b.at)[0];
      if (!next || next.at > end) {
        now = end;
        return;
      }
      now = next.at;
      timers = timers.filter((one) => one !== next);
      next.callback();
    }
  };
  run(1600);
  assert.equal(visits.size, 100);
  assert.ok([...visits.values()].every((count) => count === 1));
  run(3200);
  assert.ok([...visits.values()].every((count) => count === 3));
  for (let item = 0; item < 100; item++) wheel.delete(item);
  assert.equal(timers.length, 0);
  run(3200);
  assert.equal(visits.get(0), 3);
});

test("while the index can't be written, readers who are there go on; those who come wait for it, and lose nothing", async () => {
  const stream = await StreamUnderTest.start();
  await stream.publish(1, [frame("a", "1")]);
  const present = new TestReader(`${stream.url}?channel=a`);
  await waitFor("the reader", () => present.parser.comments > 0);
  await stream.publish(2, [frame("a", "2")]);
  await stream.index.limitPages(1);
  // More than the ring holds.
  const body = "x".repeat(50_000);
  const writes: Promise<void>[] = [];
  for (let seq = 3; seq <= 200; seq++) {
    writes.push(stream.publish(seq, [frame("a", `${seq}:${body}`)]));
    if (seq % 10 === 0) await waitFor("the present one", () => present.events.length === seq - 1);
  }
  const late = new TestReader(`${stream.url}?channel=a`, { "last-event-id": "1" });
  await waitFor("what the index has", () => late.events.length === 1);
  await stream.index.limitPages(1_000_000);
  await Promise.all(writes);
  await waitFor("the rest", () => late.events.length === 199);
  assert.deepEqual(late.data, present.data);
  assert.equal(stream.metrics().gaps, 0);
  present.close();
  late.close();
  await stream.close();
});

test("an origin is written as a browser sends it", () => {
  const errors = (origins: unknown) =>
    sseSink.schema.safeParse({ path: "/events", auth: { type: "none" }, origins }).error?.issues.length ?? 0;
  for (const good of [
    "https://app.example.com",
    "http://127.0.0.1:3000",
    "*",
    ["https://a.test", "https://b.test"],
  ]) {
    assert.equal(errors(good), 0);
  }
  for (const bad of [
    "https://app.example.com/",
    "app.example.com",
    "https://*.example.com/x",
    "HTTPS://A.test",
    "null",
  ]) {
    assert.ok(errors(bad) > 0, bad);
  }
});

test("a heartbeat of nothing is refused", () => {
  const parsed = sseSink.schema.safeParse({ path: "/events", auth: { type: "none" }, heartbeat: "0s" });
  assert.equal(parsed.error?.issues[0]?.message, "is too short");
});
