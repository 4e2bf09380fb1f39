/** The long poll. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { ask, withStream } from "./sse-kit.ts";
import { frame } from "./stream-kit.ts";

describe("long polls", () => {
  test("answer at once what is there", async () => {
    await withStream({}, async (stream) => {
      for (let seq = 10; seq <= 15; seq++)
        await stream.publish(seq, [frame("a", `{"n":${seq}}`), frame("b", "x")]);
      const answer = await ask(stream, "channel=a&since=12");
      assert.deepEqual(
        answer.events.map(({ data }) => data),
        [{ n: 13 }, { n: 14 }, { n: 15 }],
      );
      assert.equal(answer.next, 15);
      assert.deepEqual(await ask(stream, "channel=a&since=15"), { events: [], next: 15 });
      assert.deepEqual(await ask(stream, "channel=a"), { events: [], next: 15 });
      assert.deepEqual(await ask(stream, "channel=a&since=2"), {
        events: [],
        next: 9,
        gap: { asked: 2, oldest: 9, newest: 15 },
      });
    });
  });

  test("wait for the next one", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(1, [frame("a", "one")]);
      const answer = ask(stream, "channel=a&since=1&wait=20s");
      await waitFor("the poll to wait", () => stream.metrics().readers === 1);
      await stream.publish(2, [frame("b", "not it")]);
      await stream.publish(3, [frame("a", "two")]);
      assert.deepEqual(
        (await answer).events.map(({ data }) => data),
        ["two"],
      );
      assert.equal((await answer).next, 3);
    });
  });

  test("answer empty when the wait is over, and move the position", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(1, [frame("a", "one")]);
      const answer = ask(stream, "channel=a&since=1&wait=300ms");
      await waitFor("the poll to wait", () => stream.metrics().readers === 1);
      await stream.publish(2, [frame("b", "not it")]);
      assert.deepEqual(await answer, { events: [], next: 2 });
    });
  });

  test("a chain of polls sees everything once", async () => {
    await withStream({}, async (stream) => {
      for (let seq = 1; seq <= 1500; seq++)
        void stream.publish(seq, [frame("a", `${seq}`), frame("a", `${seq}'`)]);
      const seen: unknown[] = [];
      for (let next = 0; next < 1500; ) {
        const answer = await ask(stream, `channel=a&since=${next}&wait=1s`);
        seen.push(...answer.events.map(({ data }) => data));
        assert.ok(answer.next > next);
        next = answer.next;
      }
      assert.equal(seen.length, 3000);
      assert.equal(new Set(seen.map(String)).size, 3000);
    });
  });

  test("refuse what is no wait, and what isn't allowed", async () => {
    await withStream({ channels: ["a"] }, async (stream) => {
      for (const [query, status] of [
        ["channel=a&wait=soon", 400],
        ["channel=b", 403],
      ]) {
        const response = await fetch(`${stream.url}?${query}`, { headers: { accept: "application/json" } });
        assert.equal(response.status, status);
        await response.text();
      }
    });
  });
});
