/** What a reader of a stream hears while it is there, and how it is sent away. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { takesOver } from "../../src/component.ts";
import { waitFor } from "../wait-for.ts";
import { open, withStream } from "./sse-kit.ts";
import { frame, type StreamUnderTest } from "./stream-kit.ts";

describe("what a reader hears", () => {
  test("the first bytes come at once, with the headers that keep proxies from buffering", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(40, []);
      const reader = await open(stream, "channel=a");
      await waitFor("the greeting", () => reader.parser.lastEventId === "40");
      assert.equal(reader.status, 200);
      assert.equal(reader.headers["content-type"], "text/event-stream");
      assert.match(reader.headers["cache-control"] ?? "", /no-transform/);
      assert.equal(reader.headers["x-accel-buffering"], "no");
      assert.ok((reader.parser.retry ?? 0) >= 1000);
      reader.close();
    });
  });

  test("live frames of its channels, each seq in one piece", async () => {
    await withStream({}, async (stream) => {
      const reader = await open(stream, "channel=a&channel=b");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("a", "1a"), frame("c", "1c"), frame("b", "1b")]);
      await stream.publish(2, [frame("c", "2c")]);
      await stream.publish(3, [frame("a", "3a")]);
      await waitFor("three events", () => reader.events.length === 3);
      assert.deepEqual(
        reader.events.map(({ data, lastEventId }) => [data, lastEventId]),
        [
          ["1a", ""],
          ["1b", "1"],
          ["3a", "3"],
        ],
      );
      reader.close();
      await waitFor("the reader to be gone", () => stream.metrics().readers === 0);
      const { frames, gaps, stalled } = stream.metrics();
      assert.deepEqual({ frames, gaps, stalled }, { frames: 3, gaps: 0, stalled: 0 });
    });
  });

  test("a channel named twice, or by a pattern beside its name, is one", async () => {
    await withStream({}, async (stream) => {
      const reader = await open(stream, "channel=a&channel=a&channel=*");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("a", "once"), frame("x.y", "not")]);
      await stream.publish(2, [frame("b", "end")]);
      await waitFor("the end", () => reader.data.includes("end"));
      assert.deepEqual(reader.data, ["once", "end"]);
      reader.close();
    });
  });

  test("none named: all that are no patterns", async () => {
    await withStream({ channels: ["a", "b", "room.*"] }, async (stream) => {
      const reader = await open(stream, "");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [frame("room.1", "no"), frame("a", "yes"), frame("b", "too")]);
      await waitFor("both", () => reader.events.length === 2);
      assert.deepEqual(reader.data, ["yes", "too"]);
      reader.close();
    });
  });

  test("heartbeats carry the seq up to which it has everything", async () => {
    await withStream({ heartbeat: "50ms" }, async (stream) => {
      const reader = await open(stream, "channel=a");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(7, [frame("b", "not for it")]);
      await stream.publish(8, []);
      await waitFor("the position", () => reader.parser.lastEventId === "8");
      assert.deepEqual(reader.events, []);
      reader.close();
    });
  });

  test("the type and an envelope where they are asked for", async () => {
    await withStream({ event: true, envelope: true }, async (stream) => {
      const reader = await open(stream, "channel=a");
      await waitFor("the reader", () => reader.parser.comments > 0);
      await stream.publish(1, [{ ...frame("a", '{"n":1}'), type: "order.paid" }]);
      await waitFor("the event", () => reader.events.length === 1);
      assert.equal(reader.events[0]?.type, "order.paid");
      assert.deepEqual(JSON.parse(reader.data[0] ?? "").data, { n: 1 });
      reader.close();
    });
  });
});

describe("refusing for a while", () => {
  test("beyond limits.connections: a 200 that says bye, and a reader that goes makes room", async () => {
    await withStream({ limits: { connections: 1 } }, async (stream) => {
      const first = await open(stream, "channel=a");
      const second = await open(stream, "channel=a");
      await waitFor("its end", () => second.ended);
      assert.equal(second.status, 200);
      assert.deepEqual(second.events, [{ type: "bye", data: '{"reason":"load"}', lastEventId: "" }]);
      assert.ok((second.parser.retry ?? 0) >= 1000);
      const poll = await fetch(`${stream.url}?channel=a`, { headers: { accept: "application/json" } });
      assert.equal(poll.status, 503);
      assert.ok(poll.headers.get("retry-after"));
      await poll.text();
      first.close();
      await waitFor("room", () => stream.metrics().readers === 0);
      const third = await open(stream, "channel=a");
      await waitFor("the greeting", () => third.parser.comments > 0);
      assert.equal(stream.metrics().refused, 2);
      third.close();
    });
  });

  test("stopping says bye to all, with jitter, answers polls, and resolves when none is left", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(5, []);
      const readers = await Promise.all(Array.from({ length: 20 }, () => open(stream, "channel=a")));
      const poll = fetch(`${stream.url}?channel=a&wait=20s`, { headers: { accept: "application/json" } });
      await waitFor("all", () => stream.metrics().readers === 21);
      await stream.sink.stop();
      assert.equal(stream.metrics().readers, 0);
      assert.deepEqual(await (await poll).json(), { events: [], next: 5 });
      await waitFor("their ends", () => readers.every((reader) => reader.ended));
      for (const reader of readers) {
        assert.deepEqual(
          reader.events.map(({ type }) => type),
          ["bye"],
        );
        assert.equal(reader.parser.lastEventId, "5");
      }
      assert.ok(new Set(readers.map(({ parser }) => parser.retry)).size > 5);
      const late = await open(stream, "channel=a");
      await waitFor("its end", () => late.ended);
      assert.deepEqual(
        late.events.map(({ type }) => type),
        ["bye"],
      );
    });
  });
});

test("what another sink published while its successor started reaches those who come to that one, and nothing follows", async () => {
  await withStream({ path: "/events" }, async (stream) => {
    await stream.publish(10, [frame("a", "10")]);
    let written: Promise<void> | null = null;
    await stream.replaceSink(() => {
      written = stream.publish(11, [frame("a", "11")]);
    });
    await written;
    const reader = await open(stream, "channel=a", { "last-event-id": "10" });
    await waitFor("the event", () => reader.events.length === 1);
    assert.equal(await polled(stream, "channel=a&since=10"), "11");
    reader.close();
  });
});

test("those who came to the successor before it was told of that get it too, once the index has it", async () => {
  await withStream({ path: "/events" }, async (stream) => {
    await stream.publish(10, [frame("a", "10")]);
    await stream.replaceSink();
    const reader = await open(stream, "channel=a", { "last-event-id": "10" });
    const poll = polled(stream, "channel=a&since=10&wait=20s");
    await waitFor("both", () => stream.metrics().readers === 2 && reader.parser.comments > 0);
    const { sink } = stream;
    assert.ok(takesOver(sink));
    sink.takeOver(11);
    const behind = stream.index.write([{ stream: "browser", seq: 11, frames: [frame("a", "11")] }]);
    await waitFor("the event", () => reader.events.length === 1);
    assert.equal(await poll, "11");
    await stream.publish(12, [frame("a", "12")]);
    await behind;
    await waitFor("the next", () => reader.events.length === 2);
    assert.deepEqual(reader.data, ["11", "12"]);
    reader.close();
  });
});

async function polled(stream: StreamUnderTest, query: string): Promise<string> {
  const answer = await fetch(`${stream.url}?${query}`, { headers: { accept: "application/json" } });
  const { events } = (await answer.json()) as { events: { seq: number }[] };
  return events.map(({ seq }) => seq).join();
}
