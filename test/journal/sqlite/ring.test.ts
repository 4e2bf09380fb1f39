import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../../../src/event.ts";
import { Committed } from "../../../src/journal/sqlite/committed.ts";
import { EventPacker } from "../../../src/journal/sqlite/packed-events.ts";
import { Ring } from "../../../src/journal/sqlite/ring.ts";
import { newEvent } from "../../conformance/log.ts";

function events(from: number, count: number, bytes = 100): Committed {
  const packer = new EventPacker();
  for (let n = 0; n < count; n++) packer.add(newEvent({ body: Buffer.alloc(bytes) }), 0, null);
  return new Committed(packer.pack(), from);
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
  const ring = new Ring(0, 10_000);
  for (let n = 0; n < 100; n++) ring.push(events(1 + n * 10, 10));
  assert.equal(ring.newest, 1000);
  assert.equal(ring.from(1), null);
  assert.deepEqual(seqs(ring.from(1000)), [1000, 1000]);
  const held = Array.from({ length: 1000 }, (_, n) => ring.get(n + 1)).filter(Boolean).length;
  assert.ok(held >= 20 && held <= 60, `${held}`);
});

test("one commit larger than the bound is not held, but known", () => {
  const ring = new Ring(0, 1000);
  ring.push(events(1, 3, 5000));
  assert.equal(ring.from(1), null);
  assert.equal(ring.newest, 3);
  ring.push(events(4, 1));
  assert.deepEqual(seqs(ring.from(4)), [4, 4]);
});

test("a commit's duplicates are not among its events", () => {
  const packer = new EventPacker();
  for (const source of ["a", "b", "a", "b", "a"]) packer.add(newEvent({ source, subject: "s" }), 0, null);
  const committed = new Committed(packer.view(), 50, new Set([1, 4]));
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
