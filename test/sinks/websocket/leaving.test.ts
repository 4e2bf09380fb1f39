/** How connections end: at a stop, when nobody is there any more, when a client takes nothing, and what floods do. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startRunning } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";
import { Client, type Live, startLive } from "./kit.ts";
import { frame, PING, PONG, RawSocket, TEXT } from "./raw.ts";

async function metric({ running }: Live, name: string): Promise<number> {
  const text = await (await fetch(`${running.admin}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name}{`));
  return Number(line?.split(" ").at(-1));
}

/** One who has subscribed by hand, and answers nothing by itself. */
async function mute(t: TestContext, live: Live, channel = "a"): Promise<RawSocket> {
  const raw = await RawSocket.open(t, live.wsUrl);
  raw.say({ type: "subscribe", channel });
  await raw.hears("subscribed");
  return raw;
}

test("at a stop each is told bye with its own wait and closed with 1012, over a window in which events still come", async () => {
  const running = await startRunning(`
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: websocket, path: /ws, auth: { type: none }, channels: [all], drain: 300ms } }
routes: { in: { from: in, to: live } }
`);
  const url = `${running.url.replace("http", "ws")}/ws`;
  const clients = Array.from({ length: 20 }, () => new Client(url, ["leat.v1"], {}));
  for (const client of clients) {
    await client.opened;
    client.say({ type: "subscribe", channel: "all" });
    await client.hears("subscribed");
  }
  const stopped = running.stop();
  const codes = await Promise.all(clients.map((client) => client.closed()));
  await stopped;
  assert.deepEqual([...new Set(codes)], [1012]);
  const byes = clients.map((client) => client.of("bye")[0] ?? {});
  assert.deepEqual([...new Set(byes.map((bye) => (bye as { reason?: unknown }).reason))], ["drain"]);
  const waits = byes.map((bye) => Number((bye as { retry_ms?: unknown }).retry_ms));
  assert.ok(waits.every((ms) => ms >= 1000 && ms <= 3000) && new Set(waits).size > 10, String(waits));
});

test("one who answers no pings is closed with 4102; one who does stays", async (t) => {
  const live = await startLive(t, { fields: "heartbeat: 100ms" });
  const [gone, there] = [await mute(t, live), await live.reader("a")];
  assert.equal(await gone.closeCode(), 4102);
  assert.ok(gone.frames.filter(({ opcode }) => opcode === PING).length >= 2);
  await there.hears("position", 5);
  assert.equal(there.code, 0);
});

test("one who talks counts as there, whether or not it answers pings", async (t) => {
  const live = await startLive(t, { fields: "heartbeat: 100ms" });
  const raw = await mute(t, live);
  const talking = setInterval(() => raw.say({ type: "ping" }), 50);
  t.after(() => clearInterval(talking));
  await raw.hears("position", 6);
  assert.equal(raw.ended, false);
});

test("one who takes nothing for max_delay is closed, and has lost nothing when it comes back", async (t) => {
  const live = await startLive(t, { fields: "max_delay: 300ms, max_buffer: 64KiB" });
  const slow = await mute(t, live);
  const quick = await live.reader("a");
  slow.socket.pause();
  const body = "x".repeat(100_000);
  let posted = 0;
  let last = 0;
  await waitFor(
    "it to be closed",
    async () => {
      if (posted < 200) last = await live.post("a", { n: posted++, body });
      return (await metric(live, "leat_readers")) === 1;
    },
    20_000,
  );
  slow.socket.resume();
  await waitFor("its end", () => slow.ended);
  const seen = slow.of("event").map(({ seq }) => Number(seq));
  const again = await live.client();
  again.say({ type: "subscribe", channel: "a", since: seen.at(-1) ?? 0 });
  await waitFor("the rest", () => again.of("event").at(-1)?.seq === last);
  await waitFor("all", () => quick.of("event").length === posted);
  const all = [...seen, ...again.of("event").map(({ seq }) => Number(seq))];
  assert.deepEqual(
    all,
    quick.of("event").map(({ seq }) => seq),
  );
});

test("one who takes too little of a channel that may drop is told how much it missed, and stays", async (t) => {
  const live = await startLive(t, {
    channels: "[{ name: a, slow: drop_oldest }, b]",
    fields: "max_delay: 60s, max_buffer: 64KiB",
  });
  const slow = await mute(t, live);
  slow.say({ type: "subscribe", channel: "b" });
  await slow.hears("subscribed", 2);
  const quick = await live.reader("a");
  slow.socket.pause();
  // More than the kernel's buffers of both ends take.
  const posted = 200;
  const body = "x".repeat(100_000);
  for (let n = 0; n < posted; n++) await live.post("a", { n, body });
  await waitFor("the other to have all", () => quick.of("event").length === posted);
  slow.socket.resume();
  const last = await live.post("b", "after it");
  await waitFor("what came last", () => slow.of("event").at(-1)?.seq === last, 20_000);
  const missed = slow.of("dropped");
  assert.deepEqual([...new Set(missed.map(({ channel }) => channel))], ["a"]);
  const count = missed.reduce((sum, each) => sum + Number(each.count), 0);
  assert.equal(slow.of("event").length + count, posted + 1);
  assert.ok(missed.every(({ through }) => Number(through) < last));
  assert.equal(await metric(live, "leat_stream_dropped_total"), count);
  assert.deepEqual([slow.of("gap"), slow.ended], [[], false]);
});

test("10,000 subscribe messages: the first hundred channels are joined, the others refused, and the daemon answers others", async (t) => {
  const live = await startLive(t, { fields: "limits: { messages: 1000/s }" });
  const client = await live.client();
  for (let n = 0; n < 10_000; n++) client.say({ type: "subscribe", channel: `room.${n}`, ref: n });
  const other = await live.reader("a");
  await live.post("a", 1);
  await other.hears("event");
  await waitFor("all answers", () => client.said.length === 1 + 10_000, 30_000);
  assert.equal(client.of("subscribed").length, 100);
  assert.deepEqual([...new Set(client.of("error").map(({ code }) => code))], ["too_many_channels"]);
  await live.post("room.99", "joined");
  await live.post("room.100", "not joined");
  await client.hears("event");
  assert.equal(client.of("event").length, 1);
});

test("patterns that cost each event something are few for each client, those that the stream lists apart", async (t) => {
  const live = await startLive(t, { channels: '["**", "*.listed"]' });
  const client = await live.client();
  for (const channel of ["*.listed", "room.*"]) client.say({ type: "subscribe", channel });
  for (let n = 0; n < 11; n++) client.say({ type: "subscribe", channel: `*.own${n}` });
  const { code, channel } = await client.hears("error");
  assert.deepEqual([code, channel], ["too_many_patterns", "*.own10"]);
  await waitFor("the others", () => client.of("subscribed").length === 12);
  client.say({ type: "unsubscribe", channel: "*.own0" });
  client.say({ type: "subscribe", channel: "*.own10" });
  await waitFor("room for another", () => client.of("subscribed").length === 13);
});

test("what is said beyond the rate waits in the client's own socket", async (t) => {
  const live = await startLive(t, { fields: "limits: { messages: 20/s }" });
  const raw = await RawSocket.open(t, live.wsUrl);
  await raw.hears("welcome");
  const begun = performance.now();
  raw.send(...Array.from({ length: 40 }, (_, at) => frame(TEXT, JSON.stringify({ type: "ping", ref: at }))));
  await raw.hears("pong", 40);
  assert.ok(performance.now() - begun > 700);
  assert.deepEqual(
    raw.of("pong").map(({ ref }) => ref),
    Array.from({ length: 40 }, (_, at) => at),
  );
});

test("pongs that nobody asked for count against the rate, and those that were asked for don't", async (t) => {
  const live = await startLive(t, { fields: "heartbeat: 50ms, limits: { messages: 10/h }" });
  const [patient, flooding] = [await live.reader("a"), await RawSocket.open(t, live.wsUrl)];
  await flooding.hears("welcome");
  flooding.send(...Array.from({ length: 20 }, () => frame(PONG, "unasked")));
  flooding.say({ type: "ping", ref: "late" });
  await patient.hears("position", 20);
  patient.say({ type: "ping", ref: "in time" });
  await patient.hears("pong");
  assert.deepEqual(flooding.of("pong"), []);
});

test("a flood of pings, of pongs, or of messages whose answers nobody takes, fills no memory of ours", async (t) => {
  const live = await startLive(t, { fields: "limits: { messages: 1000000/s }, max_delay: 30s" });
  const attacks = [
    frame(PING, "x".repeat(125)),
    frame(PONG, "x".repeat(125)),
    frame(TEXT, JSON.stringify({ type: "x", ref: "r".repeat(100) })),
  ];
  const raws = await Promise.all(attacks.map(() => RawSocket.open(t, live.wsUrl)));
  for (const raw of raws) await raw.hears("welcome");
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  for (const [at, raw] of raws.entries()) {
    raw.socket.pause();
    const flood = Buffer.concat(Array.from({ length: 5000 }, () => attacks[at] as Buffer));
    for (let n = 0; n < 30 && raw.socket.writableLength < 2 ** 20; n++) raw.send(flood);
  }
  const other = await live.reader("a");
  await live.post("a", 1);
  await other.hears("event");
  assert.ok(process.memoryUsage().rss - before < 100 * 2 ** 20);
  for (const raw of raws) raw.socket.destroy();
  await waitFor("them to be gone", async () => (await metric(live, "leat_readers")) === 1);
});
