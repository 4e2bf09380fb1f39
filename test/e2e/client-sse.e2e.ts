/** `leat/client` over SSE in Node, against the real program. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type ConnectOptions, connect, type StatusNews, type StreamEvent } from "../../src/client/connect.ts";
import { waitFor } from "../wait-for.ts";
import { post, streaming } from "./client-kit.ts";
import type { Daemon } from "./daemon.ts";

const CONFIG = `
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks:
  plain: { type: sse, path: /plain, auth: { type: none }, channels: [a, b, "c.*"], heartbeat: 100ms }
  wrapped: { type: sse, path: /wrapped, auth: { type: none }, channels: [a, b, "c.*"], envelope: true, event: true, heartbeat: 100ms }
  closed: { type: sse, path: /closed, auth: { type: bearer, token: sesame-sesame-sesame }, channels: [a] }
routes:
  each: { from: in, to: [{ sink: plain, channel: "{{ body.to }}" }, { sink: wrapped, channel: "{{ body.to }}" }, { sink: closed, channel: "{{ body.to }}" }] }
  twice: { from: in, match: { body.twice: true }, to: [{ sink: plain, channel: a }, { sink: wrapped, channel: a }] }
`;
const QUICK = { backoff: { initial: 50, max: 500 } };

function opened<Data>(t: TestContext, daemon: Daemon, path: string, options: ConnectOptions = {}) {
  const connection = connect<Data>(`${daemon.url}${path}`, { ...QUICK, ...options });
  t.after(() => connection.close());
  return connection;
}

async function live(connection: { readonly status: string }): Promise<void> {
  await waitFor("the stream", () => connection.status === "live");
}

test("a loop gets the events of its channels, with their seq, and ends with close()", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"] });
  await live(connection);
  const seqs = [await post(daemon, { to: "a", n: 1 }), await post(daemon, { to: "b", n: 2 })];
  seqs.push(await post(daemon, { to: "a", n: 3 }));
  const got: StreamEvent<{ n: number }>[] = [];
  for await (const event of connection) {
    got.push(event);
    if (event.data.n === 3) break;
  }
  assert.deepEqual(
    got.map(({ data, seq, channel }) => [data.n, seq, channel]),
    [
      [1, seqs[0], "a"],
      [3, seqs[2], "a"],
    ],
  );
  // A loop that was left is begun again, and close() ends it.
  await post(daemon, { to: "a", n: 4 });
  let after = 0;
  for await (const { data } of connection) {
    after = data.n;
    connection.close();
  }
  assert.equal(after, 4);
});

test("an enveloped stream tells channel, id, type and time of each, also of two with one seq", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened(t, daemon, "/wrapped", { channels: ["a", "c.*"], envelope: true });
  await live(connection);
  const seq = await post(daemon, { to: "c.1", twice: true, id: "one" });
  const got: StreamEvent[] = [];
  for await (const event of connection) if (got.push(event) === 2) break;
  assert.deepEqual(
    got.map(({ channel, id, type, seq, time }) => [channel, id, type, seq, typeof time]).toSorted(),
    [
      ["a", "one", "webhook", seq, "string"],
      ["c.1", "one", "webhook", seq, "string"],
    ],
  );
});

test("nothing is missing and nothing comes twice when the daemon is killed again and again", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const got: number[] = [];
  const states: StatusNews[] = [];
  const connection = opened<{ n: number }>(t, daemon, "/wrapped", { envelope: true });
  const subscription = connection.subscribe<{ n: number }>(["a"]);
  subscription.on("event", ({ data }) => got.push(data.n));
  subscription.on("status", (news) => states.push(news));
  await live(subscription);
  const total = 300;
  for (let n = 0; n < total; n++) {
    if (n % 75 === 40) {
      daemon.signal("SIGKILL");
      await daemon.ended();
      await daemon.start();
    }
    await post(daemon, { to: "a", n, id: `id-${n}` });
  }
  await waitFor("all", () => got.length >= total, 30_000);
  assert.deepEqual(
    got,
    Array.from({ length: total }, (_, n) => n),
  );
  assert.ok(states.filter(({ status }) => status === "waiting").length >= 4);
});

test("a restart is said with its reason, and the client is back in the time that it was told", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"] });
  const states: StatusNews[] = [];
  connection.on("status", (news) => states.push(news));
  await live(connection);
  await post(daemon, { to: "a", n: 1 });
  daemon.signal("SIGTERM");
  await daemon.ended();
  await daemon.start();
  await post(daemon, { to: "a", n: 2 });
  const got: number[] = [];
  for await (const { data } of connection) if (got.push(data.n) === 2) break;
  assert.deepEqual(got, [1, 2]);
  const waited = states.find(({ status }) => status === "waiting");
  assert.ok(waited?.reason === "restart" || waited?.reason === "drain", waited?.reason);
  assert.ok((waited?.retryMs ?? 0) >= 1000, "as the server's retry says, not as our own backoff would");
});

test("a consumer that is slow misses nothing, and no more than the buffer waits for it", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"], buffer: 10 });
  const loop = connection[Symbol.asyncIterator]();
  await live(connection);
  const total = 500;
  const filler = "x".repeat(4096);
  for (let n = 0; n < total; n++) await post(daemon, { to: "a", n, filler });
  for (let n = 0; n < total; n++) assert.equal((await loop.next()).value?.data.n, n);
});

test("a place that is kept resumes after a new start where the program was, and a gap is told before what follows", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const kept = new Map<string, string>();
  const storage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
  };
  const first = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"], storage });
  await live(first);
  for (const n of [1, 2, 3]) await post(daemon, { to: "a", n });
  const loop = first[Symbol.asyncIterator]();
  for (const n of [1, 2]) assert.equal((await loop.next()).value?.data.n, n);
  // 2 was given but not done with: a page that was closed now sees it again.
  first.close();
  const again = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"], storage });
  const seen: number[] = [];
  for await (const { data } of again) if (seen.push(data.n) === 2) break;
  assert.deepEqual(seen, [2, 3]);
  again.close();

  const late = opened<{ n: number }>(t, daemon, "/plain", { channels: ["a"], since: 1 });
  const order: unknown[] = [];
  const subscription = late.subscribe<{ n: number }>("b", { since: 1 });
  subscription.on("gap", ({ asked }) => order.push(`gap after ${asked}`));
  subscription.on("event", ({ data }) => order.push(data.n));
  await waitFor("the gap", () => order.length > 0);
  await post(daemon, { to: "b", n: 5 });
  await waitFor("what follows", () => order.length === 2);
  assert.deepEqual(order, ["gap after 1", 5]);
});

test("refusals that nobody can wait for end it with the server's code", async (t) => {
  const daemon = await streaming(t, CONFIG);
  for (const [path, options, code] of [
    ["/closed", { channels: ["a"] }, "unauthorized"],
    ["/closed", { channels: ["a"], token: "wrong" }, "unauthorized"],
    ["/plain", { channels: ["other"] }, "channel_not_allowed"],
    ["/nowhere", {}, "not_found"],
  ] as const) {
    const connection = opened(t, daemon, path, options);
    await assert.rejects(connection[Symbol.asyncIterator]().next(), { name: "StreamError", code }, path);
    assert.equal(connection.status, "closed");
  }
  const connection = opened(t, daemon, "/closed", {
    channels: ["a"],
    token: async () => "sesame-sesame-sesame",
  });
  await live(connection);
  await post(daemon, { to: "a", n: 1 });
  assert.deepEqual((await connection[Symbol.asyncIterator]().next()).value?.data, { to: "a", n: 1 });
  await assert.rejects(connection.publish("a", 1), { code: "needs_websocket" });
});

test("a stream that is quiet for longer than it may be is dropped, and goes on where it was", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, "/plain", { silence: 1000 });
  const a = connection.subscribe<{ n: number }>("a");
  let dropped = false;
  a.on("status", ({ status }) => {
    dropped ||= status === "waiting";
  });
  await live(a);
  daemon.signal("SIGSTOP");
  await waitFor("it to be dropped", () => dropped);
  daemon.signal("SIGCONT");
  await post(daemon, { to: "a", n: 1 });
  assert.equal((await a[Symbol.asyncIterator]().next()).value?.data.n, 1);
});
