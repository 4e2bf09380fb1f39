import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "../../../src/journal/sqlite/arena.ts";
import { EventPacker, unpackEvents } from "../../../src/journal/sqlite/packed-events.ts";
import { newEvent } from "../../conformance/log.ts";

const SLAB = 4096;

function group(arena: Arena, bodies: readonly string[]): EventPacker {
  const packer = new EventPacker(arena);
  for (const body of bodies) packer.add(newEvent({ body: Buffer.from(body) }), 0, null);
  packer.close();
  return packer;
}

const bodiesOf = (packer: EventPacker) =>
  unpackEvents(packer.view()).map(({ body }) => Buffer.from(body).toString());

test("groups lie one behind the other in one slab, and none writes over another", () => {
  const arena = new Arena(SLAB);
  const groups = ["a", "b", "c"].map((name) => group(arena, [name, name.repeat(100)]));
  assert.equal(new Set(groups.map((one) => one.view().bytes.buffer)).size, 1);
  assert.deepEqual(groups.map(bodiesOf), [
    ["a", "a".repeat(100)],
    ["b", "b".repeat(100)],
    ["c", "c".repeat(100)],
  ]);
});

test("a slab is filled again only when every group in it is released", () => {
  const arena = new Arena(SLAB);
  const first = group(arena, ["x".repeat(1500)]);
  const second = group(arena, ["y".repeat(1500)]);
  const slab = first.view().bytes.buffer;
  first.release();
  // Not enough is left of the slab: these go elsewhere while the second group is in it.
  const third = group(arena, ["z".repeat(3000)]);
  assert.notEqual(third.view().bytes.buffer, slab);
  assert.deepEqual(bodiesOf(second), ["y".repeat(1500)]);
  second.release();
  const fourth = group(arena, ["w".repeat(3000)]);
  assert.equal(fourth.view().bytes.buffer, slab);
  assert.deepEqual(bodiesOf(third), ["z".repeat(3000)]);
});

test("a steady load takes a few slabs, whatever its amount", () => {
  const arena = new Arena(SLAB);
  const slabs = new Set<ArrayBufferLike>();
  const held: EventPacker[] = [];
  for (let n = 0; n < 1000; n++) {
    const packer = group(arena, [String(n), "x".repeat(n % 700)]);
    slabs.add(packer.view().bytes.buffer);
    held.push(packer);
    if (held.length > 5) {
      const [number] = bodiesOf(held[0]!);
      assert.equal(number, String(n - 5));
      held.shift()?.release();
    }
  }
  assert.ok(slabs.size <= 4, `${slabs.size} slabs`);
});

test("a group that outgrows the slab's rest moves on whole; one that outgrows any slab gets memory of its own", () => {
  const arena = new Arena(SLAB);
  const before = group(arena, ["x".repeat(2000)]);
  const grown = new EventPacker(arena);
  for (const body of ["1", "2".repeat(1500), "3".repeat(1500)]) {
    grown.add(newEvent({ body: Buffer.from(body) }), 0, null);
  }
  assert.deepEqual(bodiesOf(grown), ["1", "2".repeat(1500), "3".repeat(1500)]);
  assert.ok(grown.view().bytes.buffer instanceof SharedArrayBuffer);
  grown.add(newEvent({ body: Buffer.alloc(SLAB, "4") }), 0, null);
  assert.ok(grown.view().bytes.buffer instanceof ArrayBuffer);
  assert.deepEqual(bodiesOf(grown), ["1", "2".repeat(1500), "3".repeat(1500), "4".repeat(SLAB)]);
  assert.deepEqual(bodiesOf(before), ["x".repeat(2000)]);
});

test("what is added to a closed group when another has begun behind it harms neither", () => {
  const arena = new Arena(SLAB);
  const closed = group(arena, ["one"]);
  const open = new EventPacker(arena);
  open.add(newEvent({ body: Buffer.from("two") }), 0, null);
  closed.add(newEvent({ body: Buffer.from("late") }), 0, null);
  open.add(newEvent({ body: Buffer.from("three") }), 0, null);
  assert.deepEqual(bodiesOf(closed), ["one", "late"]);
  assert.deepEqual(bodiesOf(open), ["two", "three"]);
});

test("for another thread: shared memory as it is, memory of its own as a copy of exactly its size", () => {
  const shared = group(new Arena(SLAB), ["a"]);
  assert.equal(shared.pack().bytes.buffer, shared.view().bytes.buffer);
  const own = new EventPacker();
  for (const body of ["a", "b", "c"]) own.add(newEvent({ body: Buffer.from(body) }), 0, null);
  const { bytes } = own.pack();
  assert.equal(bytes.buffer.byteLength, own.size);
  assert.notEqual(bytes.buffer, own.view().bytes.buffer);
});
