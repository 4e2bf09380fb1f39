/** What a client of a WebSocket hears: greeting, channels, events in order, its position, and history. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../../wait-for.ts";
import { startLive } from "./kit.ts";

test("a client is welcomed, subscribes, and gets the events of its channels, in order and no others", async (t) => {
  const live = await startLive(t);
  const client = await live.client();
  assert.equal(client.socket.protocol, "leat.v1");
  const { heartbeat_ms, ...welcome } = await client.hears("welcome");
  assert.deepEqual(welcome, { type: "welcome", version: 1, user: null, expires_in_ms: null });
  assert.equal(heartbeat_ms, 15_000);
  client.say({ type: "subscribe", channel: "a", ref: 1 });
  client.say({ type: "subscribe", channel: "room.*", ref: "two" });
  await client.hears("subscribed", 2);
  assert.deepEqual(
    client.of("subscribed").map(({ channel, ref }) => [channel, ref]),
    [
      ["a", 1],
      ["room.*", "two"],
    ],
  );
  const seqs = [
    await live.post("a", 1),
    await live.post("room.x", 2),
    await live.post("b", 3),
    await live.post("a", 4),
  ];
  await client.hears("event", 3);
  assert.deepEqual(client.of("event"), [
    { type: "event", channel: "a", seq: seqs[0], data: { channel: "a", n: 1 } },
    { type: "event", channel: "room.x", seq: seqs[1], data: { channel: "room.x", n: 2 } },
    { type: "event", channel: "a", seq: seqs[3], data: { channel: "a", n: 4 } },
  ]);
});

test("a client that comes back with the seq it has seen gets what it missed, then what is new, each once", async (t) => {
  const live = await startLive(t);
  const seen = await live.post("a", 0);
  for (let n = 1; n <= 50; n++) await live.post(n % 2 === 0 ? "a" : "b", n);
  const client = await live.client();
  client.say({ type: "subscribe", channel: "a", since: seen });
  client.say({ type: "subscribe", channel: "b", since: String(seen) });
  await client.hears("subscribed", 2);
  for (let n = 51; n <= 60; n++) await live.post(n % 2 === 0 ? "a" : "b", n);
  await client.hears("event", 60);
  assert.deepEqual(
    client.numbers,
    Array.from({ length: 60 }, (_, at) => at + 1),
  );
  assert.deepEqual(client.of("gap"), []);
});

test("channels that begin at different places end in one order", async (t) => {
  const live = await startLive(t);
  const seqs: number[] = [];
  for (let n = 0; n < 20; n++) seqs.push(await live.post(n % 2 === 0 ? "a" : "b", n));
  const client = await live.client();
  client.say({ type: "subscribe", channel: "a", since: seqs[3] });
  client.say({ type: "subscribe", channel: "b", since: seqs[14] });
  client.say({ type: "subscribe", channel: "room.1" });
  await client.hears("subscribed", 3);
  await client.hears("event", 8 + 3);
  const last = await live.post("room.1", 20);
  await live.post("a", 21);
  await live.post("b", 22);
  await client.hears("event", 8 + 3 + 3);
  const of = (channel: string) => client.of("event").filter((event) => event.channel === channel);
  assert.deepEqual(
    of("a").map(({ seq }) => seq),
    [4, 6, 8, 10, 12, 14, 16, 18].map((n) => seqs[n]).concat(Number(of("a").at(-1)?.seq)),
  );
  assert.deepEqual(
    of("b").map(({ data }) => (data as { n: number }).n),
    [15, 17, 19, 22],
  );
  assert.deepEqual(
    client
      .of("event")
      .slice(-3)
      .map(({ seq }) => seq),
    [last, last + 1, last + 2],
  );
});

test("a channel named by name and by pattern is given once, and one named twice is one", async (t) => {
  const live = await startLive(t);
  const client = await live.reader("room.1", "room.*");
  client.say({ type: "subscribe", channel: "room.1", ref: "again" });
  await client.hears("subscribed", 3);
  await live.post("room.1", 1);
  await live.post("room.2", 2);
  await client.hears("event", 2);
  assert.deepEqual(client.numbers, [1, 2]);
});

test("after unsubscribed nothing of the channel comes, and the others go on", async (t) => {
  const live = await startLive(t);
  const client = await live.reader("a", "b");
  client.say({ type: "unsubscribe", channel: "a", ref: 7 });
  assert.deepEqual(await client.hears("unsubscribed"), { type: "unsubscribed", channel: "a", ref: 7 });
  await live.post("a", 1);
  await live.post("b", 2);
  await client.hears("event");
  client.say({ type: "unsubscribe", channel: "never", ref: 8 });
  await client.hears("unsubscribed", 2);
  assert.deepEqual(client.numbers, [2]);
});

test("the heartbeat tells the position up to which it has everything, also of a quiet channel", async (t) => {
  const live = await startLive(t, { fields: "heartbeat: 50ms" });
  const client = await live.reader("a");
  const seq = await live.post("b", "not for it");
  await waitFor("the position", () => client.of("position").at(-1)?.seq === seq);
  client.say({ type: "ping", ref: 9 });
  assert.deepEqual(await client.hears("pong"), { type: "pong", ref: 9 });
});

test("a position that can't be resumed is told as a gap, with what there is", async (t) => {
  const live = await startLive(t);
  const seq = await live.post("a", 1);
  const asked: [unknown, unknown][] = [
    ["garbage", "garbage"],
    ["x".repeat(10_240), "x".repeat(64)],
    [seq + 1_000_000, seq + 1_000_000],
    [-1, "-1"],
    [{ not: "one" }, '{"not":"one"}'],
    [1, 1],
  ];
  for (const [since, told] of asked) {
    const client = await live.client();
    client.say({ type: "subscribe", channel: "a", since });
    const gap = await client.hears("gap");
    assert.deepEqual([gap.asked, gap.channel], [told, "a"]);
    assert.equal(typeof gap.oldest, "number");
    assert.ok(Number(gap.newest) >= seq);
    client.close();
  }
});

test("history.on_connect: a channel named without since begins so far back", async (t) => {
  const live = await startLive(t, { fields: "history: { on_connect: 1h }" });
  await live.post("a", 1);
  await live.post("a", 2);
  const client = await live.reader("a");
  await client.hears("event", 2);
  assert.deepEqual(client.numbers, [1, 2]);
});

test("an envelope tells an event's id, type and time; bytes that are no text come as base64", async (t) => {
  const live = await startLive(t, { fields: "envelope: true" });
  const client = await live.reader("a");
  await live.post("a", 1);
  const { id, event, time, data } = await client.hears("event");
  assert.equal(typeof id, "string");
  assert.equal(event, "webhook");
  assert.ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000);
  assert.deepEqual(data, { channel: "a", n: 1 });
});

test("without a WebSocket the path says so, or answers long polls as an sse stream does", async (t) => {
  const live = await startLive(t);
  const url = `${live.running.url}/ws?channel=a`;
  const plain = await fetch(url);
  assert.equal(plain.status, 426);
  assert.equal(plain.headers.get("upgrade"), "websocket");
  await plain.text();
  const seq = await live.post("a", 1);
  const ask = async (query: string) => {
    const response = await fetch(`${url}${query}`, { headers: { accept: "application/json" } });
    return [response.status, await response.json()] as [number, { events: { seq: number }[]; next: number }];
  };
  const [status, first] = await ask(`&since=${seq - 1}`);
  assert.deepEqual([status, first.events.map((event) => event.seq), first.next], [200, [seq], seq]);
  const waiting = ask(`&since=${seq}&wait=20s`);
  const next = await live.post("a", 2);
  assert.deepEqual(
    (await waiting)[1].events.map((event) => event.seq),
    [next],
  );
  assert.equal((await ask("&wait=never"))[0], 400);
  assert.equal((await ask("&channel=elsewhere"))[0], 403);
});
