/** Which packets are read here, and that the others come to the library as they were, in their place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { packet, publish, readAll } from "./packets.ts";

const PLAIN = {
  topic: "sensors/7",
  payload: "21.5",
  qos: 1,
  dup: false,
  retain: false,
  messageId: 7,
} as const;
const PING_ANSWER = packet(0xd0, new Uint8Array());
const SUBACK = packet(0x90, Buffer.from([0, 1, 0, 1]));
const CONTENT_TYPE = Buffer.from([0x03, 0, 1, 0x61]);

test("reads topic, payload, flags and id of a plain packet", async () => {
  const { ours, theirs } = await readAll(
    [publish(PLAIN), publish({ ...PLAIN, topic: "größe", payload: "", qos: 0, dup: true, retain: true })],
    5,
  );
  assert.deepEqual(
    ours.map(({ packet }) => packet),
    [
      { ...PLAIN, cmd: "publish", payload: Buffer.from("21.5") },
      { cmd: "publish", topic: "größe", payload: Buffer.alloc(0), qos: 0, dup: true, retain: true },
    ],
  );
  assert.equal(theirs.length, 0);
});

test("version 3.1.1 has no properties: what is behind the id is the payload", async () => {
  const { ours } = await readAll([publish({ ...PLAIN, payload: "\0x" }, null)], "3.1.1");
  assert.deepEqual(ours[0]?.packet.payload, Buffer.from("\0x"));
});

test("what isn't plain is the library's, byte for byte, in its place", async () => {
  const foreign = [
    SUBACK,
    publish({ ...PLAIN, qos: 2 }),
    publish(PLAIN, CONTENT_TYPE),
    // An alias in place of the topic.
    publish({ ...PLAIN, topic: "" }, Buffer.from([0x23, 0, 1])),
    PING_ANSWER,
  ];
  const { ours, theirs } = await readAll(
    [Buffer.concat([publish(PLAIN), ...foreign, publish({ ...PLAIN, messageId: 8 })])],
    5,
  );
  assert.deepEqual(
    ours.map(({ packet, after }) => [packet.messageId, after]),
    [
      [7, 0],
      [8, theirs.length],
    ],
  );
  assert.deepEqual(theirs, Buffer.concat(foreign));
});

test("a packet that is no packet is for the library to complain of, with all behind it", async () => {
  const broken = {
    "a topic that is longer than its packet": packet(0x32, Buffer.from([0, 9, 0x61])),
    "no packet id": packet(0x32, Buffer.from([0, 1, 0x61])),
    "no topic at all": packet(0x30, Buffer.from([0])),
    "both bits of the QoS": packet(0x36, Buffer.from([0, 1, 0x61, 0, 1, 0])),
  };
  for (const [what, bytes] of Object.entries(broken)) {
    const { ours, theirs } = await readAll([bytes], 5);
    assert.deepEqual([ours.length, theirs], [0, bytes], what);
  }
  const endless = Buffer.concat([Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff]), publish(PLAIN)]);
  const { ours, theirs } = await readAll([endless, publish(PLAIN)], 5);
  assert.deepEqual([ours.length, theirs], [0, Buffer.concat([endless, publish(PLAIN)])]);
});

test("in single bytes it is the same", async () => {
  const bytes = Buffer.concat([publish(PLAIN), SUBACK, publish(PLAIN, CONTENT_TYPE), publish(PLAIN)]);
  const { ours, theirs } = await readAll(
    Array.from(bytes, (byte) => Uint8Array.of(byte)),
    5,
  );
  assert.deepEqual(
    ours.map(({ packet, after }) => [packet.payload, after]),
    [
      [Buffer.from("21.5"), 0],
      [Buffer.from("21.5"), theirs.length],
    ],
  );
  assert.deepEqual(theirs, Buffer.concat([SUBACK, publish(PLAIN, CONTENT_TYPE)]));
});

test("one that is too large to be put together here is put together by the library", async () => {
  const large = publish({ ...PLAIN, payload: Buffer.alloc(1024 * 1024) });
  const half = large.length / 2;
  const whole = await readAll([large], 5);
  assert.equal(whole.ours.length, 1, "it needn't be put together");
  const { ours, theirs } = await readAll([large.subarray(0, half), large.subarray(half), publish(PLAIN)], 5);
  assert.deepEqual([ours.length, ours[0]?.after, theirs.equals(large)], [1, large.length, true]);
});

test("the next one waits until the one before is dealt with", async () => {
  const bytes = Buffer.concat([publish(PLAIN), publish(PLAIN), PING_ANSWER, publish(PLAIN), SUBACK]);
  const { ours, theirs, atOnce } = await readAll([bytes, bytes], 5, () => true);
  assert.deepEqual([ours.length, theirs.length, atOnce], [6, 2 * (PING_ANSWER.length + SUBACK.length), 1]);
});
