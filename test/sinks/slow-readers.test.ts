/** What a slow reader gets by its channel's policy, and what it is told it missed. */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { StreamFrame } from "../../src/component.ts";
import { Backlog, type SlowPolicy } from "../../src/sinks/stream/backlog.ts";
import { Group } from "../../src/sinks/stream/feed.ts";
import { slowOf } from "../../src/sinks/stream/fields.ts";
import { waitFor } from "../wait-for.ts";
import { frame, StreamUnderTest, TestReader } from "./stream-kit.ts";

after(() => StreamUnderTest.closeAll());

const encode = (_seq: number, frames: readonly StreamFrame[]) =>
  Buffer.concat(frames.map(({ body }) => Buffer.from(body)));

function keyed(channel: string, key: string | null, body: string): StreamFrame {
  return { ...frame(channel, body), key };
}

function group(seq: number, ...frames: StreamFrame[]): Group {
  return new Group(seq, frames, encode);
}

/** Takes all that waits, as `seq:body`. */
function drain(backlog: Backlog, now = 0): string[] {
  const got: string[] = [];
  for (;;) {
    const next = backlog.take(now, WIDE);
    if (next === null) return got;
    got.push(...next.group.pick(next.matched).map(({ body }) => `${next.group.seq}:${body}`));
  }
}

const WIDE = { bytes: 1e9, age: 1000 };
const all = (policy: SlowPolicy) => () => policy;

describe("what waits", () => {
  test("drop_oldest keeps the newest within the bound of bytes, and says how many it dropped up to where", () => {
    const backlog = new Backlog(0, all("drop_oldest"));
    const bounds = { bytes: 3 * 300, age: 1000 };
    for (let seq = 1; seq <= 10; seq++)
      assert.ok(backlog.push(group(seq, frame("a", `${seq}`.padEnd(100))), [0], 0, bounds));
    assert.ok(backlog.bytes <= bounds.bytes);
    assert.deepEqual(backlog.told(), [{ channel: "a", count: 7, through: 7 }]);
    assert.deepEqual(backlog.told(), []);
    assert.deepEqual(
      drain(backlog).map((one) => one.split(":")[0]),
      ["8", "9", "10"],
    );
    assert.equal(backlog.position, 10);
    assert.equal(backlog.bytes, 0);
  });

  test("drop_oldest drops what is too old, also while nothing new comes", () => {
    const backlog = new Backlog(0, all("drop_oldest"));
    backlog.push(group(1, frame("a", "old")), [0], 0, WIDE);
    backlog.push(group(2, frame("a", "young")), [0], 900, WIDE);
    assert.deepEqual(drain(backlog, 1500), ["2:young"]);
    assert.deepEqual(backlog.told(), [{ channel: "a", count: 1, through: 1 }]);
  });

  test("latest keeps the newest of each key in each channel; without a key the channel has one", () => {
    const backlog = new Backlog(0, all("latest"));
    const frames = [
      keyed("a", "x", "x1"),
      keyed("b", "x", "bx"),
      keyed("a", "y", "y1"),
      keyed("a", "x", "x2"),
      keyed("a", null, "n1"),
      keyed("a", null, "n2"),
    ];
    for (const [at, one] of frames.entries()) backlog.push(group(at + 1, one), [0], 0, WIDE);
    assert.deepEqual(drain(backlog), ["2:bx", "3:y1", "4:x2", "6:n2"]);
    assert.deepEqual(backlog.told(), [{ channel: "a", count: 2, through: 5 }]);
  });

  test("latest is bounded where there are too many keys", () => {
    const backlog = new Backlog(0, all("latest"));
    const bounds = { bytes: 3000, age: 1000 };
    for (let seq = 1; seq <= 100; seq++)
      assert.ok(backlog.push(group(seq, keyed("a", `${seq}`, "x")), [0], 0, bounds));
    assert.ok(backlog.bytes <= bounds.bytes);
    const [dropped] = backlog.told();
    assert.equal((dropped?.count ?? 0) + drain(backlog).length, 100);
  });

  test("what may not be dropped is kept among what may, and too much of it is told", () => {
    const policy = (channel: string): SlowPolicy => (channel === "must" ? "close" : "drop_oldest");
    const backlog = new Backlog(0, policy);
    const bounds = { bytes: 1000, age: 1000 };
    backlog.push(group(1, frame("must", "m")), [0], 0, bounds);
    for (let seq = 2; seq <= 20; seq++) assert.ok(backlog.push(group(seq, frame("a", "x")), [0], 0, bounds));
    assert.equal(backlog.take(0, bounds)?.group.seq, 1);
    let seq = 21;
    while (seq < 100 && backlog.push(group(seq, frame("must", "m")), [0], 0, bounds)) seq++;
    assert.ok(seq < 30, `${seq}`);
  });

  test("of one event's frames those that are left go out together", () => {
    const backlog = new Backlog(0, (channel) => (channel === "l" ? "latest" : "drop_oldest"));
    backlog.push(group(1, frame("l", "l1"), frame("a", "a1"), frame("b", "b1")), [0, 1], 0, WIDE);
    backlog.push(group(2, frame("l", "l2")), [0], 0, WIDE);
    assert.deepEqual(backlog.take(0, WIDE)?.matched, [1]);
    assert.deepEqual(drain(backlog), ["2:l2"]);
  });
});

test("a channel's own policy goes before the stream's; the first that covers it decides", () => {
  const slow = slowOf("drop_oldest", [
    "plain",
    { name: "pos.*", slow: "latest" },
    { name: "pos.1", slow: "close" },
  ]);
  assert.equal(slow("pos.1"), "latest");
  assert.equal(slow("plain"), "drop_oldest");
  assert.equal(slow("other"), "drop_oldest");
});

// ------------------------------------------------------------------------------------------------- over a real socket

const BODY = "x".repeat(10_000);
const EVENTS = 1500;

/** One that stalls while events come, and one beside it that doesn't. */
async function stalled(fields: object, keyOf: (n: number) => string | null) {
  const stream = await StreamUnderTest.start({ max_buffer: "64KiB", ...fields });
  await stream.publish(1, []);
  const slow = new TestReader(`${stream.url}?channel=a`);
  const fast = new TestReader(`${stream.url}?channel=a`);
  await waitFor("both", () => slow.parser.comments > 0 && fast.parser.comments > 0);
  slow.stall();
  for (let n = 1; n <= EVENTS; n++) {
    const written = stream.publish(1 + n, [keyed("a", keyOf(n), `${n}:${BODY}`)]);
    if (n % 20 === 0) {
      await written;
      await waitFor("the fast one", () => fast.events.length === n);
    }
  }
  slow.unstall();
  const numbers = () =>
    slow.events.filter(({ type }) => type === "message").map(({ data }) => Number(data.split(":")[0]));
  await waitFor("the last at the slow one", () => numbers().at(-1) === EVENTS, 30_000);
  const told = slow.events
    .filter(({ type }) => type === "dropped")
    .map(({ data }) => JSON.parse(data) as { channel: string; count: number; through: number });
  assert.equal(slow.parser.lastEventId, String(1 + EVENTS));
  assert.deepEqual(fast.data.length, EVENTS);
  return { stream, slow, fast, numbers: numbers(), told };
}

test("drop_oldest: a reader that stalled goes on with the newest, is told how many it missed, and they are counted", async () => {
  const { stream, slow, fast, numbers, told } = await stalled({ slow: "drop_oldest" }, () => null);
  const missed = told.reduce((sum, { count }) => sum + count, 0);
  assert.ok(missed > 0, "it was never slow");
  assert.equal(numbers.length + missed, EVENTS);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
  assert.equal(stream.metrics().dropped, missed);
  assert.equal(told[0]?.channel, "a");
  // What it was told lies before what came next.
  const at = slow.events.findIndex(({ type }) => type === "dropped");
  const next = Number(slow.events[at + 1]?.lastEventId);
  assert.ok((told[0]?.through ?? 0) < next);
  slow.close();
  fast.close();
  await stream.close();
});

test("latest, of that channel alone: of each key a reader that stalled gets the newest", async () => {
  const fields = { channels: [{ name: "a", slow: "latest" }, "**"] };
  const { stream, slow, fast, numbers, told } = await stalled(fields, (n) => `${n % 3}`);
  const missed = told.reduce((sum, { count }) => sum + count, 0);
  assert.ok(missed > 0, "it was never slow");
  assert.equal(numbers.length + missed, EVENTS);
  assert.deepEqual(numbers.slice(-3), [EVENTS - 2, EVENTS - 1, EVENTS]);
  slow.close();
  fast.close();
  await stream.close();
});

test("close: one that takes nothing for max_delay is closed, told so where it can be, and misses nothing", async () => {
  const stream = await StreamUnderTest.start({ max_buffer: "64KiB", max_delay: "200ms", retry: "3s" });
  await stream.publish(1, []);
  const reader = new TestReader(`${stream.url}?channel=a`);
  await waitFor("the reader", () => reader.parser.comments > 0);
  reader.stall();
  for (let n = 1; n <= EVENTS; n++) {
    const written = stream.publish(1 + n, [frame("a", `${n}:${BODY}`)]);
    if (n % 50 === 0) await written;
  }
  await waitFor("the close", () => stream.metrics().closed === 1);
  reader.unstall();
  await waitFor("its end", () => reader.ended);
  const last = reader.events.at(-1);
  assert.deepEqual([last?.type, last?.data], ["bye", '{"reason":"slow"}']);
  assert.ok((reader.parser.retry ?? 0) >= 3000);
  const had = reader.events.length - 1;
  const again = new TestReader(`${stream.url}?channel=a`, { "last-event-id": reader.parser.lastEventId });
  await waitFor("the rest", () => had + again.events.length === EVENTS, 30_000);
  assert.equal(stream.metrics().dropped, 0);
  again.close();
  await stream.close();
});
