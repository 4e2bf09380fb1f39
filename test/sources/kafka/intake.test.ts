import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import type { InHand } from "../../../src/brokers/kafka/port.ts";
import { readBatches } from "../../../src/brokers/kafka/record-batch.ts";
import { systemClock } from "../../../src/ports.ts";
import { PartitionIntake } from "../../../src/sources/kafka/intake.ts";
import { Progress } from "../../../src/sources/kafka/progress.ts";
import { kafkaBatch, type WrittenRecord } from "../../fuzz/kafka-batches.ts";
import { TestHost } from "../host.ts";

/** One partition's part of a fetch. */
function inHand(set: Buffer, over: Partial<InHand> = {}): InHand {
  const { batches } = readBatches(set, []);
  const end = (batches.at(-1)?.last ?? -1) + 1;
  return { topic: "orders", partition: 0, batches, from: 0, end, taken() {}, halt() {}, ...over };
}

class Host extends TestHost {
  override readonly clock = systemClock;
}

/** Its limit is raised, as by a reload, after it was asked for once. */
function raisedHost(): Host {
  let asked = 0;
  return Object.defineProperty(new Host(), "maxEventBytes", {
    get: () => (asked++ === 0 ? 1_000 : 64 * 1024 * 1024),
  });
}

const LZ4 = 3;
const ZSTD = 4;
const LARGE = Buffer.alloc(12 * 1024 * 1024, "x");
const CUT: readonly (readonly [what: string, record: WrittenRecord])[] = [
  ["value", { key: null, value: LARGE, headers: [] }],
  ["headers", { key: null, value: Buffer.from("small"), headers: [["large", LARGE]] }],
];

for (const [what, record] of CUT) {
  test(`a record that was cut off in its ${what} is too large, also when the limit was raised meanwhile`, async () => {
    const host = raisedHost();
    const intake = new PartitionIntake(host, {
      oversize: "refuse",
      progress: new Progress(),
      halted() {},
    });
    let next = 0;
    const hand = inHand(kafkaBatch([record], ZSTD, zstdCompressSync), { taken: (to) => (next = to) });
    await intake.take(hand, new AbortController().signal);
    assert.equal(host.appended.length, 0);
    assert.equal(host.refusals[0]?.reason, "too_large");
    assert.match(host.refusals[0]?.detail ?? "", /all of it is 125829\d\d bytes/);
    assert.equal(next, 1);
  });
}

test("a partition that stands still is no trouble of ours once another member of the group has it", async () => {
  const told: (string | null)[] = [];
  const intake = new PartitionIntake(new Host(), {
    oversize: "refuse",
    progress: new Progress(),
    halted: (problem) => told.push(problem?.message ?? null),
  });
  const unreadable = kafkaBatch([{ key: null, value: Buffer.from("a"), headers: [] }], LZ4, (bytes) => bytes);
  const over = new AbortController().signal;
  for (const partition of [0, 1]) await intake.take(inHand(unreadable, { partition }), over);
  intake.assigned(new Map([["orders", [0, 1]]]));
  assert.equal(told.length, 2);
  assert.match(told[1] ?? "", /^orders\/0 stands still.*; orders\/1 stands still/);
  intake.assigned(new Map([["orders", [1]]]));
  assert.match(told[2] ?? "", /^orders\/1 stands still[^;]*;[^;]*$/);
  intake.assigned(new Map());
  assert.equal(told[3], null);
});
