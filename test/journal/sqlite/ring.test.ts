import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Event } from "../../../src/event.ts";
import { Committed } from "../../../src/journal/sqlite/committed.ts";
import { EventPacker } from "../../../src/journal/sqlite/packed-events.ts";
import { Ring } from "../../../src/journal/sqlite/ring.ts";
import { newEvent } from "../../conformance/log.ts";
import { waitFor } from "../../wait-for.ts";

function events(from: number, count: number, bytes = 100): Committed {
  const packer = new EventPacker();
  for (let n = 0; n < count; n++) packer.add(newEvent({ body: Buffer.alloc(bytes) }), 0, null);
  packer.close();
  return new Committed(packer, from);
}

const seqs = (batch: readonly Event[] | null) => batch && [batch[0]?.seq, batch.at(-1)?.seq];

test("gives what follows on from a seq, to the end of its batch", () => {
  const ring = new Ring(100, 1 << 20);
  assert.equal(ring.from(101), null);
  ring.push(events(101, 5));
  ring.push(events(106, 1));
  ring.push(events(107, 10));
  assert.deepEqual(seqs(ring.from(101)), [101, 105]);
  assert.deepEqual(seqs(ring.from(104)), [104, 105]);
  assert.deepEqual(seqs(ring.from(106)), [106, 106]);
  assert.deepEqual(seqs(ring.from(116)), [116, 116]);
  assert.equal(ring.from(117), null);
  assert.equal(ring.from(100), null);
  assert.equal(ring.get(110)?.seq, 110);
  assert.equal(ring.get(117), undefined);
  assert.equal(ring.newest, 116);
});

test("sheds its oldest batches beyond its bound", () => {
  const ring = new Ring(0, 100_000);
  for (let n = 0; n < 100; n++) ring.push(events(1 + n * 10, 10));
  assert.equal(ring.newest, 1000);
  assert.equal(ring.from(1), null);
  assert.deepEqual(seqs(ring.from(1000)), [1000, 1000]);
  const held = Array.from({ length: 1000 }, (_, n) => ring.get(n + 1)).filter(Boolean).length;
  assert.ok(held >= 200 && held <= 400, `${held}`);
});

test("one commit larger than the bound is not held, but known", () => {
  const ring = new Ring(0, 5000);
  ring.push(events(1, 3, 5000));
  assert.equal(ring.from(1), null);
  assert.equal(ring.newest, 3);
  ring.push(events(4, 1));
  assert.deepEqual(seqs(ring.from(4)), [4, 4]);
});

test("what it holds takes about the memory that it counts, also in commits of one event", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const limit = 8 * 1024 * 1024;
  const ring = new Ring(0, limit);
  collect();
  const before = process.memoryUsage();
  for (let n = 1; n <= 20_000; n++) {
    const packer = new EventPacker();
    packer.add(newEvent({ body: Buffer.from(`{"n":${n}}`) }), 0, null);
    ring.push(new Committed(packer, n));
    // Somebody reads it, and decodes some 4 KiB.
    for (const event of ring.from(n) ?? []) Object.assign(event, { decoded: "x".repeat(512).split("") });
  }
  // Buffers are given back some time after a collection.
  const most = limit + 1024 * 6 * 1024;
  const grown = () => {
    collect();
    const after = process.memoryUsage();
    return after.heapUsed + after.external - before.heapUsed - before.external;
  };
  await waitFor("the memory to be what it counts", () => grown() < most);
  assert.ok(ring.from(20_000) !== null && ring.from(17_000) !== null);
});

test("shares the events of new batches, and unpacks old ones for each who asks", () => {
  const ring = new Ring(0, 1 << 26);
  for (let n = 0; n < 1000; n++) ring.push(events(1 + n * 10, 10));
  assert.equal(ring.get(9_995), ring.from(9_991)?.[4]);
  assert.equal(ring.from(9_991)?.[0], ring.from(9_991)?.[0]);
  assert.notEqual(ring.from(11)?.[0], ring.from(11)?.[0]);
  assert.deepEqual(ring.get(17), ring.from(17)?.[0]);
  assert.deepEqual(seqs(ring.from(17)), [17, 20]);
});

test("a commit's duplicates are not among its events", () => {
  const packer = new EventPacker();
  for (const source of ["a", "b", "a", "b", "a"]) packer.add(newEvent({ source, subject: "s" }), 0, null);
  const committed = new Committed(packer, 50, new Set([1, 4]));
  assert.deepEqual(
    committed.events.map(({ seq, source }) => [seq, source]),
    [
      [50, "a"],
      [51, "a"],
      [52, "b"],
    ],
  );
  assert.deepEqual(
    [...committed.bySource()],
    [
      ["a", 2],
      ["b", 1],
    ],
  );
  assert.equal(committed.last, 52);
});

test("one of a commit's events is found without the others", () => {
  const packer = new EventPacker();
  for (const source of ["a", "b", "c", "d", "e"]) packer.add(newEvent({ source }), 0, null);
  const committed = new Committed(packer, 50, new Set([0, 3]));
  committed.repack();
  const found = [0, 1, 2, 3].map((place) => committed.at(place)?.source);
  assert.deepEqual(found, ["b", "c", "e", undefined]);
  assert.deepEqual(committed.at(2), committed.events[2]);
});
