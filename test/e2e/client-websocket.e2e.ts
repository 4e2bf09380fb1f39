/** `leat/client` over a WebSocket in Node, against the real program. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import WebSocketOfWs from "ws";
import { type ConnectOptions, connect, type StatusNews, type StreamEvent } from "../../src/client/connect.ts";
import { waitFor } from "../wait-for.ts";
import { post, streaming } from "./client-kit.ts";
import type { Daemon } from "./daemon.ts";

const CONFIG = `
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }
sinks:
  live:
    type: websocket
    path: /ws
    auth: { type: none }
    channels: [a, b, "room.*", { name: "pointer.*", ephemeral: true }, { name: "hall.*", presence: true }]
    publish: ["room.*", "pointer.*"]
    envelope: true
    heartbeat: 200ms
    presence_grace: 100ms
    limits: { publish: 1000/s, messages: 2000/s }
routes:
  each: { from: in, to: { sink: live, channel: "{{ body.to }}" } }
  twice: { from: in, match: { body.twice: true }, to: { sink: live, channel: a } }
  chat: { from: live, to: { sink: live, channel: "{{ subject }}" } }
`;
const QUICK = { backoff: { initial: 50, max: 500 } };

function opened<Data>(t: TestContext, daemon: Daemon, options: ConnectOptions = {}) {
  const connection = connect<Data>(`${daemon.url}/ws`, { transport: "websocket", ...QUICK, ...options });
  t.after(() => connection.close());
  return connection;
}

async function live(connection: { readonly status: string }): Promise<void> {
  await waitFor("the connection", () => connection.status === "live");
}

test("channels and patterns share one connection, and each subscription gets its own events", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon);
  const [a, rooms] = [
    connection.subscribe<{ n: number }>("a"),
    connection.subscribe<{ n: number }>("room.*"),
  ];
  await Promise.all([live(a), live(rooms)]);
  const seqs: number[] = [];
  for (const [n, to] of ["a", "room.1", "b", "room.2", "a"].entries())
    seqs.push(await post(daemon, { to, n, id: `id-${n}` }));
  const heard: Record<string, StreamEvent<{ n: number }>[]> = { a: [], rooms: [] };
  for await (const event of a) if ((heard.a ?? []).push(event) === 2) break;
  for await (const event of rooms) if ((heard.rooms ?? []).push(event) === 2) break;
  assert.deepEqual(
    heard.a?.map(({ channel, seq, id, type, data }) => [channel, seq, id, type, data.n]),
    [
      ["a", seqs[0], "id-0", "webhook", 0],
      ["a", seqs[4], "id-4", "webhook", 4],
    ],
  );
  assert.deepEqual(
    heard.rooms?.map(({ channel }) => channel),
    ["room.1", "room.2"],
  );
  assert.throws(() => connection.subscribe("room.7"), { code: "already_subscribed" });
  rooms.close();
  const seven = connection.subscribe("room.7");
  await live(seven);
});

test("what is published is acknowledged once it is in the journal, and the same id is a duplicate", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<string>(t, daemon, { channels: ["room.1"] });
  await live(connection);
  const first = await connection.publish("room.1", "hello", { id: "m-1", type: "said" });
  const again = await connection.publish("room.1", "hello", { id: "m-1", type: "said" });
  assert.deepEqual([first.id, first.duplicate, again.duplicate, again.seq], ["m-1", false, true, first.seq]);
  const { value } = await connection[Symbol.asyncIterator]().next();
  assert.deepEqual([value?.data, value?.type, value?.id, value?.channel], ["hello", "said", "m-1", "room.1"]);
  await assert.rejects(connection.publish("a", "no"), { name: "StreamError", code: "publish_not_allowed" });
});

test("under kill -9 every publish is acknowledged in the end, is there once, and comes to all once and in one order", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const writer = opened(t, daemon);
  const readers = [1, 2, 3].map(() => opened<number>(t, daemon, { channels: ["room.*"] }));
  const got = readers.map((): number[] => []);
  const states: StatusNews[] = [];
  for (const [at, reader] of readers.entries()) {
    reader.on("status", (news) => states.push(news));
    await live(reader);
    void (async () => {
      for await (const { data } of reader) got[at]?.push(data);
    })();
  }
  const total = 400;
  const acks: Promise<unknown>[] = [];
  for (let n = 0; n < total; n++) {
    acks.push(writer.publish("room.1", n));
    if (n % 4 === 0) await new Promise(setImmediate);
    if (n % 100 !== 50) continue;
    await acks[n - 20];
    daemon.signal("SIGKILL");
    await daemon.ended();
    await daemon.start();
  }
  await Promise.all(acks);
  for (const each of got) {
    await waitFor("all of them", () => each.length >= total, 30_000);
    assert.equal(each.length, total);
    assert.equal(new Set(each).size, total);
    assert.deepEqual(each, got[0]);
  }
  assert.ok(states.some(({ status }) => status === "waiting"));
});

test("events of one seq are each had once over any cut", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, { channels: ["a"] });
  await live(connection);
  const got: number[] = [];
  void (async () => {
    for await (const { data } of connection) got.push(data.n);
  })();
  for (let n = 0; n < 60; n++) {
    if (n % 20 === 10) {
      daemon.signal("SIGKILL");
      await daemon.ended();
      await daemon.start();
    }
    await post(daemon, { to: "a", twice: true, n, id: `id-${n}` });
  }
  await waitFor("all of them", () => got.length >= 120, 30_000);
  assert.deepEqual(
    got,
    Array.from({ length: 120 }, (_, at) => Math.floor(at / 2)),
  );
});

test("a consumer that is slow holds its own channels only, and misses nothing", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon, { buffer: 10 });
  const [slow, quick] = [connection.subscribe<{ n: number }>("a"), connection.subscribe<{ n: number }>("b")];
  const heard: number[] = [];
  quick.on("event", ({ data }) => heard.push(data.n));
  await Promise.all([live(slow), live(quick)]);
  const total = 300;
  for (let n = 0; n < total; n++) await post(daemon, { to: n % 2 ? "a" : "b", n });
  await waitFor("the quick one", () => heard.length === total / 2);
  const loop = slow[Symbol.asyncIterator]();
  for (let n = 1; n < total; n += 2) assert.equal((await loop.next()).value?.data.n, n);
});

test("ephemeral messages reach who is there, and have no place", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const [sender, receiver] = [
    opened(t, daemon),
    opened<{ x: number }>(t, daemon, { channels: ["pointer.1"] }),
  ];
  await Promise.all([live(sender), live(receiver)]);
  const seen: StreamEvent<{ x: number }>[] = [];
  void (async () => {
    for await (const event of receiver) seen.push(event);
  })();
  await waitFor("one of them", () => {
    sender.send("pointer.1", { x: 3 });
    return seen.length > 0;
  });
  assert.deepEqual([seen[0]?.data, seen[0]?.ephemeral, seen[0]?.seq], [{ x: 3 }, true, undefined]);
  assert.equal((await sender.publish("pointer.1", { x: 4 })).seq, undefined);
});

test("who comes and goes is told, and who is there can be asked", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const watcher = opened(t, daemon);
  const hall = watcher.subscribe("hall.1");
  const news: string[] = [];
  hall.on("join", ({ channel }) => news.push(`join ${channel}`));
  hall.on("leave", ({ channel }) => news.push(`leave ${channel}`));
  await live(hall);
  const other = opened(t, daemon, { channels: ["hall.1"] });
  await live(other);
  const members = await waitFor("both", async () => {
    const found = await watcher.presence("hall.1");
    return found.reduce((sum, { connections }) => sum + connections, 0) === 2 && found;
  });
  assert.equal(members[0]?.user, null);
  await assert.rejects(watcher.presence("a"), { name: "StreamError" });
  other.close();
  await waitFor("one", async () => (await watcher.presence("hall.1"))[0]?.connections === 1);
  assert.ok(news.every((each) => each.endsWith("hall.1")));
});

test("a channel that isn't allowed ends its subscription alone", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened(t, daemon);
  const [a, other] = [connection.subscribe("a"), connection.subscribe("secret")];
  await assert.rejects(other[Symbol.asyncIterator]().next(), {
    name: "StreamError",
    code: "channel_not_allowed",
  });
  assert.equal(other.status, "closed");
  await live(a);
  await post(daemon, { to: "a", n: 1 });
  assert.deepEqual((await a[Symbol.asyncIterator]().next()).value?.data, { to: "a", n: 1 });
});

test("what waits for its acknowledgement is rejected by close(), and no more than the outbox holds may wait", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened(t, daemon, { outbox: 2, WebSocket: WebSocketOfWs });
  await live(connection);
  daemon.signal("SIGKILL");
  await daemon.ended();
  const waiting = [connection.publish("room.1", 1), connection.publish("room.1", 2)];
  await assert.rejects(connection.publish("room.1", 3), { code: "outbox_full" });
  connection.close();
  for (const each of waiting) await assert.rejects(each, { code: "closed" });
  await assert.rejects(connection.publish("room.1", 4), { code: "closed" });
});

test("a place that isn't there any more is told by a gap before what follows, on that channel alone", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const connection = opened<{ n: number }>(t, daemon);
  const [old, fresh] = [
    connection.subscribe<{ n: number }>("a", { since: 7 }),
    connection.subscribe<{ n: number }>("b"),
  ];
  const order: unknown[] = [];
  old.on("gap", ({ asked, oldest, newest }) => order.push(["gap", asked, typeof oldest, typeof newest]));
  fresh.on("gap", () => order.push("not its own"));
  old.on("event", ({ data }) => order.push(data.n));
  await Promise.all([live(old), live(fresh)]);
  await post(daemon, { to: "a", n: 1 });
  await waitFor("both", () => order.length === 2);
  assert.deepEqual(order, [["gap", 7, "number", "number"], 1]);
});

test("a connection whose other end stands still is dropped by its silence, and what came meanwhile is there later", async (t) => {
  const daemon = await streaming(t, CONFIG);
  const reader = opened<{ n: number }>(t, daemon);
  const a = reader.subscribe<{ n: number }>("a");
  const reasons: (string | undefined)[] = [];
  a.on("status", ({ status, reason }) => status === "waiting" && reasons.push(reason));
  await live(a);
  daemon.signal("SIGSTOP");
  await waitFor("it to be dropped", () => reasons.includes("silent"));
  daemon.signal("SIGCONT");
  await post(daemon, { to: "a", n: 1 });
  assert.equal((await a[Symbol.asyncIterator]().next()).value?.data.n, 1);
});
