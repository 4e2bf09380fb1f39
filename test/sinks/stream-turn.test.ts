/** When readers are written to: at once what comes singly, at the turn's end what comes together. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamHistory } from "../../src/component.ts";
import { systemClock } from "../../src/ports.ts";
import { Broadcast } from "../../src/sinks/stream/broadcast.ts";
import { frame } from "./stream-kit.ts";

const NOTHING: StreamHistory = {
  read: async (after) => ({ frames: [], through: after }),
  bounds: async () => ({ oldest: 0, newest: 0 }),
} as Pick<StreamHistory, "read" | "bounds"> as StreamHistory;

/** How long it has been quiet is for the tests to say. */
let now = 0;
const clock = { ...systemClock, monotonic: () => now };

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Live readers of the channel `a`, and what each was written, write by write. */
async function setUp(readers: number) {
  const broadcast = new Broadcast(
    {
      encode: (_seq, frames) => Buffer.concat(frames.map(({ body }) => Buffer.from(body))),
      signals: { gap: () => Buffer.from("gap"), dropped: () => Buffer.from("dropped") },
      history: NOTHING,
      committed: () => 0,
      maxBuffer: 1024 * 1024,
      maxDelayMs: 30_000,
      slow: () => "close",
      clock,
    },
    () => readers,
  );
  const writes = Array.from({ length: readers }, (): string[] => []);
  for (const own of writes) {
    const outlet = {
      prefetch() {},
      send: (chunk: Buffer) => own.push(String(chunk)) > 0,
      buffered: () => 0,
      full: () => false,
      drained: async () => {},
    };
    const owner = {
      tooSlow() {},
      failed(error: unknown) {
        throw error;
      },
    };
    const selection = { exact: ["a", "b"], patterns: [] };
    broadcast.reader({ selection, position: 0, outlet, owner }).start();
  }
  await nextTurn();
  let seq = 0;
  return {
    writes,
    publish: (body: string, channel = "a") => broadcast.feed.publish(++seq, [frame(channel, body)]),
  };
}

test("a message that comes singly is written while it is published", async () => {
  const { writes, publish } = await setUp(3);
  for (const body of ["1", "2", "3"]) {
    publish(body);
    assert.deepEqual(
      writes.map((own) => own.at(-1)),
      [body, body, body],
    );
    await nextTurn();
  }
  assert.deepEqual(writes[0], ["1", "2", "3"]);
});

test("what comes behind it in the same turn shares a write, and so does all of the next turn", async () => {
  const { writes, publish } = await setUp(2);
  for (const body of ["1", "2", "3"]) publish(body);
  assert.deepEqual(writes[1], ["1"]);
  await nextTurn();
  assert.deepEqual(writes[1], ["1", "23"]);
  for (const body of ["4", "5", "6"]) publish(body, body === "5" ? "b" : "a");
  assert.deepEqual(writes[1], ["1", "23"], "there were several in the turn before");
  await nextTurn();
  assert.deepEqual(writes[1], ["1", "23", "456"]);
  publish("7");
  await nextTurn();
  assert.deepEqual(writes[1], ["1", "23", "456", "7"]);
  publish("8");
  assert.equal(writes[1]?.at(-1), "8", "they come singly again");
});

test("messages that come one by one without a rest between them share writes too", async () => {
  const { writes, publish } = await setUp(1);
  publish("1");
  // It took 10 ms to write it to all.
  now += 10;
  await nextTurn();
  now += 0.5;
  publish("2");
  publish("3");
  assert.deepEqual(writes[0], ["1"]);
  await nextTurn();
  assert.deepEqual(writes[0], ["1", "23"]);
});
