/** Readers that lie about where they were, that are half there, and clocks that jump. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, describe, type TestContext, test } from "node:test";
import { postJson, startForTest } from "../daemon/running.ts";
import { waitFor } from "../wait-for.ts";
import { open, withStream } from "./sse-kit.ts";
import { frame, StreamUnderTest, TestReader } from "./stream-kit.ts";

after(() => StreamUnderTest.closeAll());

describe("a position that none of ours was", () => {
  const LIES: Readonly<Record<string, string>> = {
    "from the future": "9007199254740991",
    "larger than any": "99999999999999999999999",
    negative: "-1",
    "a fraction": "1.5",
    hexadecimal: "0x10",
    "an exponent": "1e3",
    "10 KB of digits": "9".repeat(10_240),
    "10 KB of letters": "x".repeat(10_240),
    "Mercure's": "urn:uuid:1b671a64-40d5-491e-99b0-da01ff1f3341",
    "JSON that would end its own": '"},{"x":"<script>',
    "what would be fields": "1 event: forged",
    "Latin-1": "\xe9\xff",
  };
  for (const [name, lie] of Object.entries(LIES)) {
    test(`${name}: 200, a gap that tells at most 64 characters of it, and then what comes`, async () => {
      await withStream({}, async (stream) => {
        await stream.publish(50, [frame("a", "old")]);
        const reader = await open(stream, "channel=a", { "last-event-id": lie });
        await waitFor("the gap", () => reader.events.some(({ type }) => type === "gap"));
        assert.equal(reader.status, 200);
        const gap = JSON.parse(reader.events[0]?.data ?? "") as { asked: string | number; newest: number };
        assert.ok(String(gap.asked).length <= 64);
        assert.ok(lie.startsWith(String(gap.asked)));
        assert.equal(gap.newest, 50);
        await stream.publish(51, [frame("a", "new")]);
        await waitFor("the new one", () => reader.data.at(-1) === "new");
        assert.equal(reader.parser.lastEventId, "51");
        assert.equal(stream.metrics().gaps, 1);
        reader.close();
      });
    });
  }

  test("several headers, or one of nothing, are no worse", async () => {
    await withStream({}, async (stream) => {
      await stream.publish(50, [frame("a", "old")]);
      const reader = await open(stream, "channel=a&last_event_id=49", { "last-event-id": "" });
      await waitFor("what it missed", () => reader.data.length === 1);
      assert.deepEqual(reader.data, ["old"]);
      reader.close();
    });
  });
});

test("an id of another stream is a place in the same journal: the reader misses nothing, and is told of no gap", async (t) => {
  const running = await startForTest(
    t,
    `
sources:
  in: { type: webhook, path: /in, verify: { type: none } }
  other: { type: webhook, path: /other, verify: { type: none } }
sinks:
  live: { type: sse, path: /events, auth: { type: none } }
  second: { type: sse, path: /second, auth: { type: none } }
routes: { all: { from: in, to: live }, more: { from: other, to: second } }
`,
  );
  const post = async (path: string, n: number) =>
    Number((await postJson(`${running.url}/${path}`, { n })).json.seq);
  await post("in", 0);
  const foreign = await post("other", 1);
  const last = await post("in", 2);
  const reader = new TestReader(`${running.url}/events`, { "last-event-id": String(foreign) });
  t.after(() => reader.close());
  await waitFor("what came after it", () => reader.parser.lastEventId === String(last));
  assert.deepEqual(reader.data, ['{"n":2}']);
});

// ------------------------------------------------------------------------------------------------- half there

async function raw(
  t: TestContext,
  stream: StreamUnderTest,
  text: string,
): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect(stream.port, "127.0.0.1"), { text: "" });
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.on("data", (chunk) => (socket.text += chunk));
  socket.write(text);
  return socket;
}

const GET = "GET /events?channel=a HTTP/1.1\r\nhost: localhost\r\n\r\n";

describe("half-open connections", () => {
  test("one whose client is gone without a word, by a reset or by half a close, makes room", async (t) => {
    const stream = await StreamUnderTest.start({ limits: { connections: 2 } });
    await stream.publish(1, []);
    const reset = await raw(t, stream, GET);
    const half = await raw(t, stream, GET);
    await waitFor("both", () => stream.metrics().readers === 2 && half.text.includes("retry"));
    reset.resetAndDestroy();
    half.end();
    await waitFor("none", () => stream.metrics().readers === 0);
    await stream.close();
  });

  test("one whose client no longer takes anything is closed by heartbeats and events within max_delay", async (t) => {
    const stream = await StreamUnderTest.start({ max_delay: "300ms", heartbeat: "50ms" });
    await stream.publish(1, []);
    const gone = await raw(t, stream, GET);
    await waitFor("it to be there", () => gone.text.includes("retry"));
    gone.pause();
    for (let seq = 2; stream.metrics().closed === 0 && seq < 5000; seq++)
      await stream.publish(seq, [frame("a", "x".repeat(20_000))]);
    await waitFor("the close", () => stream.metrics().readers === 0);
    assert.equal(stream.metrics().closed, 1);
    await stream.close();
  });

  test("a request behind a stream on its connection waits for ever, costs one place, and goes with it", async (t) => {
    const stream = await StreamUnderTest.start();
    await stream.publish(1, []);
    const twice = await raw(t, stream, GET + GET);
    await waitFor("both", () => stream.metrics().readers === 2);
    await stream.publish(2, [frame("a", "once")]);
    await waitFor("the event", () => twice.text.includes("once"));
    assert.equal(twice.text.split("HTTP/1.1 200").length, 2);
    assert.equal(twice.text.split("data: once").length, 2);
    twice.destroy();
    await waitFor("none", () => stream.metrics().readers === 0);
    await stream.close();
  });

  test("HTTP/1.0 gets the same bytes", async (t) => {
    const stream = await StreamUnderTest.start();
    await stream.publish(1, []);
    const old = await raw(t, stream, "GET /events?channel=a HTTP/1.0\r\n\r\n");
    await waitFor("the reader", () => old.text.includes("retry"));
    await stream.publish(2, [frame("a", "1.0")]);
    await waitFor("the event", () => old.text.endsWith("data: 1.0\nid: 2\n\n"));
    assert.doesNotMatch(old.text, /transfer-encoding/i);
    await stream.close();
  });
});

// ------------------------------------------------------------------------------------------------------ clocks

test("a clock that jumps a day either way closes nobody, drops nothing, and stops no heartbeat", async () => {
  const stream = await StreamUnderTest.start({
    heartbeat: "50ms",
    max_delay: "200ms",
    slow: "drop_oldest",
    history: { on_connect: "1h" },
  });
  await stream.publish(1, []);
  const reader = new TestReader(`${stream.url}?channel=a`);
  await waitFor("the reader", () => reader.parser.comments > 0);
  let seq = 1;
  for (const skewMs of [86_400_000, -86_400_000, 0]) {
    stream.skewMs = skewMs;
    await stream.publish(++seq, [frame("a", `${seq}`, Date.now() + skewMs)]);
    const { comments } = reader.parser;
    await waitFor("heartbeats", () => reader.parser.comments >= comments + 5);
    assert.equal(reader.ended, false);
    // What lies within the hour by today's clock, and never what is newer missing.
    const late = new TestReader(`${stream.url}?channel=a`);
    await waitFor("its event", () => late.data.includes(`${seq}`));
    late.close();
  }
  assert.deepEqual(reader.data, ["2", "3", "4"]);
  const { dropped, closed, gaps } = stream.metrics();
  assert.deepEqual({ dropped, closed, gaps }, { dropped: 0, closed: 0, gaps: 0 });
  reader.close();
  await stream.close();
});
