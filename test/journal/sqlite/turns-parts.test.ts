import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Delivery } from "../../../src/journal/sqlite/delivery.ts";
import { Fifo } from "../../../src/journal/sqlite/fifo.ts";
import { Lanes } from "../../../src/journal/sqlite/lanes.ts";
import { RetryQueue } from "../../../src/journal/sqlite/retry-queue.ts";

const owners = { accounts: [], routes: [] };
const delivery = (seq: number, key: string | null = null) => new Delivery(seq, 0, key, owners);

test("a fifo gives back what it was given, in order, whatever is put back in front", () => {
  const commands = fc.array(fc.oneof(fc.constant("shift"), fc.constant("unshift"), fc.constant("push")), {
    maxLength: 3000,
  });
  fc.assert(
    fc.property(commands, (all) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      for (const [n, command] of all.entries()) {
        if (command === "push") {
          fifo.push(n);
          model.push(n);
        } else if (command === "unshift") {
          fifo.unshift(n);
          model.unshift(n);
        } else assert.equal(fifo.shift(), model.shift());
        assert.equal(fifo.length, model.length);
      }
    }),
    { numRuns: 50 },
  );
});

test("a retry queue gives out what is due, the earliest first, and passes over what is gone", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ due: fc.nat(50), gone: fc.boolean() }), { maxLength: 100 }), (all) => {
      const queue = new RetryQueue();
      for (const [seq, { due, gone }] of all.entries()) {
        const one = delivery(seq);
        one.due = due;
        queue.push(one);
        if (gone) one.state = "gone";
      }
      const given: number[] = [];
      for (let next = queue.shift(25); next !== null; next = queue.shift(25)) given.push(next.due);
      const expected = all.filter(({ due, gone }) => due <= 25 && !gone).map(({ due }) => due);
      assert.deepEqual(
        given,
        expected.sort((a, b) => a - b),
      );
      assert.equal(
        queue.earliest(),
        all
          .filter((e) => e.due > 25 && !e.gone)
          .map((e) => e.due)
          .sort((a, b) => a - b)[0] ?? null,
      );
    }),
    { numRuns: 100 },
  );
});

test("a lane lets one of a key go at a time, and passes over what is gone", () => {
  const lanes = new Lanes();
  const [a1, a2, a3, free] = [delivery(1, "a"), delivery(2, "a"), delivery(3, "a"), delivery(4)];
  assert.deepEqual(
    [a1, a2, a3, free].map((each) => lanes.enter(each)),
    [true, false, false, true],
  );
  assert.equal(lanes.parked, 2);
  a2.state = "gone";
  lanes.drop();
  assert.equal(lanes.leave(a1), a3);
  assert.equal(lanes.parked, 0);
  assert.equal(lanes.leave(a3), null);
  assert.equal(lanes.enter(delivery(5, "a")), true);
});

test("a held key waits until its own dead letter lets it go", () => {
  const lanes = new Lanes();
  const [head, next] = [delivery(1, "a"), delivery(2, "a")];
  lanes.enter(head);
  lanes.enter(next);
  lanes.hold("a", 1);
  assert.equal(lanes.leave(head), null);
  assert.equal(lanes.free("a", 7), null);
  assert.deepEqual(lanes.held(), [{ key: "a", seq: 1 }]);
  assert.equal(lanes.free("a", 1), next);
  assert.deepEqual(lanes.held(), []);
});
