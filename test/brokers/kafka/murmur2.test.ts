import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { test } from "node:test";
import { murmur2, partitionOf } from "../../../src/brokers/kafka/murmur2.ts";

const kafkajs: (key: Buffer) => number = createRequire(import.meta.url)(
  "kafkajs/src/producer/partitioners/default/murmur2",
);

test("hashes as Java's client does", () => {
  // Of Kafka's own UtilsTest.
  const vectors: readonly (readonly [key: string, hash: number])[] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ];
  for (const [key, hash] of vectors) assert.equal(murmur2(Buffer.from(key)), hash);
});

test("hashes as kafkajs does, whatever the length", () => {
  for (let length = 0; length < 200; length++) {
    const key = randomBytes(length);
    assert.equal(murmur2(key), kafkajs(key), key.toString("hex"));
  }
});

test("a partition is never below zero", () => {
  for (let n = 0; n < 1_000; n++) {
    const partition = partitionOf(randomBytes(8), 7);
    assert.ok(partition >= 0 && partition < 7);
  }
});
