/** `permessage-deflate`: off unless it is asked for, and then each message compressed once for all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import type { StreamFrame } from "../../../src/component.ts";
import { Feed, type Group } from "../../../src/sinks/stream/feed.ts";
import { deflatedFrame } from "../../../src/sinks/websocket/frame.ts";
import { waitFor } from "../../wait-for.ts";
import { startLive } from "./kit.ts";
import { CONTINUATION, frame, PING, RawSocket, TEXT } from "./raw.ts";

const SYNC = { finishFlush: constants.Z_SYNC_FLUSH };
const OFFER = { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" };

test("by default no compression is agreed, whatever a client offers", async (t) => {
  const live = await startLive(t);
  const client = await live.client({ perMessageDeflate: true });
  assert.equal(client.socket.extensions, "");
});

test("with compress, a client gets large messages compressed and small ones as they are; others get them plain", async (t) => {
  const live = await startLive(t, { fields: "compress: true" });
  const [packed, plain] = [await RawSocket.open(t, live.wsUrl, OFFER), await RawSocket.open(t, live.wsUrl)];
  assert.match(packed.head, /permessage-deflate; server_no_context_takeover; client_no_context_takeover/);
  assert.doesNotMatch(plain.head, /permessage-deflate/);
  const body = { n: "x".repeat(5000) };
  for (const raw of [packed, plain]) {
    raw.say({ type: "subscribe", channel: "a" });
    await raw.hears("subscribed");
  }
  await live.post("a", body.n);
  await live.post("a", "small");
  await plain.hears("event", 2);
  const frames = () => packed.frames.filter(({ opcode }) => opcode === TEXT).slice(2);
  await waitFor("both", () => frames().length === 2);
  const [large, small] = frames();
  assert.equal(large?.reserved, 4);
  assert.ok((large?.payload.length ?? 0) < 300);
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  const inflated = inflateRawSync(Buffer.concat([large?.payload ?? tail, tail]), SYNC).toString();
  assert.deepEqual(JSON.parse(inflated), plain.of("event")[0]);
  assert.equal(small?.reserved, 0);
});

test("a client library that agrees on it reads and resumes, and what it sends compressed is taken and bounded", async (t) => {
  const live = await startLive(t, { fields: 'compress: true, publish: ["room.*"]' });
  const seq = await live.post("a", "y".repeat(3000));
  const client = await live.client({ perMessageDeflate: { threshold: 0 } });
  assert.match(client.socket.extensions, /permessage-deflate/);
  client.say({ type: "subscribe", channel: "a", since: seq - 1 });
  await client.hears("event");
  assert.deepEqual(client.numbers, ["y".repeat(3000)]);
  client.say({ type: "publish", channel: "room.1", data: "z".repeat(10_000), ref: 1 });
  await client.hears("ack");
  // 1 MiB of one character is a kilobyte on the wire.
  client.say({ type: "publish", channel: "room.1", data: "z".repeat(2 ** 20), ref: 2 });
  assert.equal(await client.closed(), 1009);
});

test("a message is compressed once, however many read it", () => {
  let compressed = 0;
  const feed = new Feed((_seq, frames) => {
    compressed++;
    return deflatedFrame(String(frames[0]?.body));
  });
  const had: Buffer[] = [];
  const selection = { exact: ["a"], patterns: [] };
  const follower = () => ({
    selection,
    prefetch: () => {},
    fallBack: () => {},
    receive: (group: Group, matched: readonly number[]) => had.push(group.chunk(matched)) > 0,
  });
  feed.advance(0);
  for (let n = 0; n < 50; n++) assert.ok(feed.join(follower(), 0));
  const frames = [{ channel: "a", id: "1", type: "t", time: 0, body: Buffer.from("x".repeat(5000)) }];
  feed.publish(1, frames as unknown as StreamFrame[]);
  assert.deepEqual([had.length, new Set(had).size, compressed], [50, 1, 1]);
});

test("an offer with a smaller window than ours is not agreed, and the connection works without", async (t) => {
  const live = await startLive(t, { fields: "compress: true" });
  const offer = { "sec-websocket-extensions": "permessage-deflate; server_max_window_bits=9" };
  const raw = await RawSocket.open(t, live.wsUrl, offer);
  assert.equal(raw.status, 101);
  assert.doesNotMatch(raw.head, /permessage-deflate/);
  await raw.hears("welcome");
});

test("many messages that are small only while they are compressed fill no memory: the connection is closed", async (t) => {
  const live = await startLive(t, { fields: "compress: true, limits: { messages: 1/h }" });
  const raw = await RawSocket.open(t, live.wsUrl, OFFER);
  await raw.hears("welcome");
  const other = await live.reader("a");
  const packed = deflateRawSync(JSON.stringify({ type: "nothing", filler: "z".repeat(60_000) }), SYNC);
  // 30 MB, in what is read of a socket at once.
  const bomb = frame(TEXT, packed.subarray(0, -4), { reserved: 4 });
  raw.send(...Array.from({ length: 500 }, () => bomb));
  assert.equal(await raw.closeCode(), 4009);
  await live.post("a", 1);
  await other.hears("event");
});

test("what is said beyond the rate waits, whether or not it is compressed, as long as it isn't more than that", async (t) => {
  const live = await startLive(t, { fields: "compress: true, limits: { messages: 20/s }" });
  const client = await live.client({ perMessageDeflate: { threshold: 0 } });
  for (let n = 0; n < 40; n++) client.say({ type: "ping", ref: n, filler: "z".repeat(20_000) });
  await client.hears("pong", 40);
  assert.equal(client.code, 0);
});

test("compressed messages are taken whole, in fragments, of every size, and in stored blocks", async (t) => {
  const live = await startLive(t, { fields: "compress: true" });
  const raw = await RawSocket.open(t, live.wsUrl, OFFER);
  const squeeze = (text: string, level: number) => {
    return deflateRawSync(text, { ...SYNC, level }).subarray(0, -4);
  };
  const sizes = [40, 125, 126, 1000, 65_535, 65_536];
  for (const [n, size] of sizes.entries()) {
    const packed = squeeze(JSON.stringify({ type: "ping", ref: n }).padEnd(size), n % 2 === 0 ? 9 : 0);
    if (packed.length <= 65_536) raw.send(frame(TEXT, packed, { reserved: 4 }));
    const [half, rest] = [packed.subarray(0, packed.length / 2), packed.subarray(packed.length / 2)];
    raw.send(frame(TEXT, half, { reserved: 4, fin: false }), frame(PING, "between"));
    // The bit is the first frame's alone.
    raw.send(frame(CONTINUATION, "", { fin: false }), frame(CONTINUATION, rest));
  }
  await waitFor("all", () => new Set(raw.of("pong").map(({ ref }) => ref)).size === sizes.length - 1);
  // The last one, not compressed and with its blocks' heads, is over the limit.
  assert.equal(await raw.closeCode(), 1009);
});

test("what is no deflated text closes the connection: broken, not UTF-8, or a bit where none may be", async (t) => {
  const live = await startLive(t, { fields: "compress: true" });
  const packed = deflateRawSync(JSON.stringify({ type: "ping" }), SYNC).subarray(0, -4);
  const latin = deflateRawSync(Buffer.from([0x22, 0xff, 0x22]), SYNC).subarray(0, -4);
  const cases: [string, number, Buffer[]][] = [
    ["garbage", 1007, [frame(TEXT, Buffer.from("ff00ff00ff00", "hex"), { reserved: 4 })]],
    ["a reserved kind of block", 1007, [frame(TEXT, Buffer.from([0x06]), { reserved: 4 })]],
    ["no UTF-8", 1007, [frame(TEXT, latin, { reserved: 4 })]],
    ["a compressed ping", 1002, [frame(PING, packed, { reserved: 4 })]],
    [
      "the bit on a continuation",
      1002,
      [frame(TEXT, packed, { reserved: 4, fin: false }), frame(CONTINUATION, "", { reserved: 4 })],
    ],
    ["another bit", 1002, [frame(TEXT, packed, { reserved: 6 })]],
    ["nothing", 4001, [frame(TEXT, "", { reserved: 4 })]],
  ];
  for (const [what, code, frames] of cases) {
    const raw = await RawSocket.open(t, live.wsUrl, OFFER);
    raw.send(...frames);
    assert.equal(await raw.closeCode(), code, what);
  }
});

test("an offer with parameters that mean nothing is answered 400, or as if it weren't there", async (t) => {
  const live = await startLive(t, { fields: "compress: true" });
  const offers: [string, number[]][] = [
    ["permessage-deflate; unknown=1", [400, 101]],
    ["permessage-deflate; client_max_window_bits=7", [400]],
    ["permessage-deflate; server_no_context_takeover; server_no_context_takeover", [400]],
    ["x-webkit-deflate-frame", [101]],
    ["permessage-deflate; server_max_window_bits=9, permessage-deflate", [101]],
    [";;;", [400]],
    [`permessage-deflate${"; client_no_context_takeover".repeat(300)}`, [400]],
  ];
  for (const [offer, statuses] of offers) {
    const raw = await RawSocket.open(t, live.wsUrl, { "sec-websocket-extensions": offer });
    assert.ok(statuses.includes(raw.status), `${offer.slice(0, 80)}: ${raw.status}`);
  }
});
