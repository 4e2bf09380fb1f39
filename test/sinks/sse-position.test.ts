/** Where a reader goes on that names a position, and what it is told when that can't be. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { ask, open, withStream } from "./sse-kit.ts";
import { frame, type StreamUnderTest } from "./stream-kit.ts";

describe("resuming", () => {
  const fill = async (stream: StreamUnderTest, from: number, to: number) => {
    await stream.index.write([]);
    for (let seq = from; seq <= to; seq++) await stream.publish(seq, [frame(seq % 2 ? "a" : "b", `${seq}`)]);
  };

  test("by header, by either query, and the header wins", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 10);
      for (const [query, headers] of [
        ["", { "last-event-id": "6" }],
        ["&last_event_id=6", {}],
        ["&lastEventId=6", {}],
        ["&last_event_id=1", { "last-event-id": "6" }],
      ] as [string, Record<string, string>][]) {
        const reader = await open(stream, `channel=a${query}`, headers);
        await waitFor("both missed", () => reader.events.length === 2);
        assert.deepEqual(reader.data, ["7", "9"]);
        reader.close();
      }
    });
  });

  test("history and what comes live meet without a hole", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 3000);
      const reader = await open(stream, "channel=a&channel=b", { "last-event-id": "500" });
      for (let seq = 3001; seq <= 3200; seq++) {
        await stream.publish(seq, [frame("a", `${seq}`)]);
      }
      await waitFor("all", () => reader.events.length >= 2700);
      assert.deepEqual(
        reader.data,
        Array.from({ length: 2700 }, (_, at) => `${at + 501}`),
      );
      reader.close();
    });
  });

  test("a position below what is held gets a gap, then all there is", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      const reader = await open(stream, "channel=a", { "last-event-id": "50" });
      await waitFor("the rest", () => reader.data.at(-1) === "109");
      const [gap, ...rest] = reader.events;
      assert.equal(gap?.type, "gap");
      assert.equal(gap?.lastEventId, "99");
      assert.deepEqual(JSON.parse(gap?.data ?? ""), { asked: 50, oldest: 99, newest: 110 });
      assert.deepEqual(
        rest.map(({ data }) => data),
        ["101", "103", "105", "107", "109"],
      );
      assert.equal(stream.metrics().gaps, 1);
      reader.close();
    });
  });

  test("a reader that is cut off before it hears of a gap comes back with the position it had", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      const response = await fetch(`${stream.url}?channel=a`, { headers: { "last-event-id": "50" } });
      let heard = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        heard += chunk;
        if (heard.includes("id: 109\n")) break;
      }
      assert.match(heard.slice(0, heard.indexOf("id: ")), /event: gap/);
    });
  });

  test("one above what was committed (a backup was put back) gets a gap, then all there is; a poll too", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      const reader = await open(stream, "channel=a", { "last-event-id": "999" });
      await waitFor("the rest", () => reader.data.at(-1) === "109");
      const [gap, ...rest] = reader.events;
      assert.equal(gap?.type, "gap");
      assert.equal(gap?.lastEventId, "99");
      assert.deepEqual(JSON.parse(gap?.data ?? ""), { asked: 999, oldest: 99, newest: 110 });
      assert.deepEqual(
        rest.map(({ data }) => data),
        ["101", "103", "105", "107", "109"],
      );
      reader.close();
      assert.deepEqual(await ask(stream, "channel=a&since=999"), {
        events: [],
        next: 99,
        gap: { asked: 999, oldest: 99, newest: 110 },
      });
    });
  });

  test("one that is none gets a gap and goes on live", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      for (const asked of ["urn:uuid:1", "-5", "1e3", "99999999999999999999", "x".repeat(500)]) {
        const reader = await open(stream, "channel=a", { "last-event-id": asked });
        await waitFor("the gap", () => reader.events.length === 1);
        assert.equal(reader.events[0]?.type, "gap");
        assert.equal(reader.parser.lastEventId, "110");
        const told = JSON.parse(reader.data[0] ?? "").asked;
        assert.equal(String(told), asked.slice(0, 64));
        reader.close();
      }
    });
  });

  test("what was handed out before a crash and not yet indexed is no gap, and not sent again", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 100, 110);
      stream.committed = 112;
      const reader = await open(stream, "channel=a", { "last-event-id": "111" });
      await waitFor("the greeting", () => reader.parser.lastEventId === "111");
      await stream.publish(111, [frame("a", "again")]);
      await stream.publish(112, [frame("a", "new")]);
      await waitFor("the new one", () => reader.events.length === 1);
      assert.deepEqual(reader.data, ["new"]);
      reader.close();
    });
  });

  test("history.on_connect gives the last while to one without a position", async () => {
    await withStream({ history: { on_connect: "5m" } }, async (stream) => {
      const now = Date.now();
      await stream.publish(1, [frame("a", "old", now - 600_000)]);
      await stream.publish(2, [frame("a", "recent", now - 60_000)]);
      const reader = await open(stream, "channel=a");
      await waitFor("the recent one", () => reader.events.length === 1);
      assert.deepEqual(reader.data, ["recent"]);
      reader.close();
    });
  });

  test("retention that overtakes a reader is a gap", async () => {
    await withStream({}, async (stream) => {
      await fill(stream, 1, 20);
      await stream.index.retain("browser", Date.now() + 10_000);
      const reader = await open(stream, "channel=a", { "last-event-id": "3" });
      await waitFor("the gap", () => reader.events.length === 1);
      assert.deepEqual(JSON.parse(reader.data[0] ?? ""), { asked: 3, oldest: 20, newest: 20 });
      reader.close();
    });
  });
});
