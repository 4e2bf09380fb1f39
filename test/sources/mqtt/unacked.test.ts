import assert from "node:assert/strict";
import { test } from "node:test";
import { Unacked } from "../../../src/sources/mqtt/unacked.ts";

function line(bounds = { messages: 3, bytes: 100 }) {
  const acknowledged: number[] = [];
  return { acknowledged, unacked: new Unacked(bounds, (id) => acknowledged.push(id)) };
}

test("acknowledges in the order of the messages, whatever order they are taken in", () => {
  const { acknowledged, unacked } = line();
  const [first, second, third] = [7, 3, 9].map((id) => unacked.add(id, 1));
  third!();
  second!();
  assert.deepEqual(acknowledged, []);
  first!();
  assert.deepEqual(acknowledged, [7, 3, 9]);
  assert.equal(unacked.count, 0);
});

test("a message without an acknowledgement holds its place, and gets none", () => {
  const { acknowledged, unacked } = line();
  const [first, second] = [unacked.add(null, 1), unacked.add(4, 1)];
  second();
  assert.deepEqual(acknowledged, []);
  first();
  assert.deepEqual(acknowledged, [4]);
});

test("is full at its number, or at its bytes, and takes one that is larger than all may be", () => {
  const { unacked } = line();
  const [first] = [1, 2].map((id) => unacked.add(id, 1));
  assert.equal(unacked.full, false);
  unacked.add(3, 1);
  assert.equal(unacked.full, true);
  first!();
  assert.equal(unacked.full, false);
  const large = line().unacked;
  const taken = large.add(1, 1_000);
  assert.equal(large.full, true);
  taken();
  assert.equal(large.full, false);
});

test("a packet id may come again once it was acknowledged, and each call counts once", () => {
  const { acknowledged, unacked } = line();
  for (let n = 0; n < 1_000; n++) {
    const taken = unacked.add(1, 1);
    taken();
    taken();
  }
  assert.equal(acknowledged.length, 1_000);
  assert.equal(unacked.count, 0);
  assert.equal(unacked.full, false);
});
