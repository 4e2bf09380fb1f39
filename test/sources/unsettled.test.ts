import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Taken, Unsettled } from "../../src/sources/unsettled.ts";

test("only what nothing unfinished stands before is released, in whichever order it gets on disk", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat())), (steps) => {
      const released: number[] = [];
      const unsettled = new Unsettled<number>((numbers) => released.push(...numbers));
      const taken: Taken<number>[] = [];
      for (const [add, pick] of steps) {
        if (add || taken.length === 0) taken.push(unsettled.add(taken.length + 1, 10, taken.length));
        else unsettled.settle(taken[pick % taken.length] as Taken<number>);
        unsettled.flush();
        const unfinished = taken.findIndex(({ settled }) => !settled);
        const done = unfinished < 0 ? taken.length : unfinished;
        assert.deepEqual(
          released,
          Array.from({ length: done }, (_, n) => n + 1),
          "in order, and never twice",
        );
        assert.equal(unsettled.count, taken.length - done);
        assert.equal(unsettled.bytes, (taken.length - done) * 10);
        assert.equal(unsettled.oldest, unfinished < 0 ? null : unfinished);
      }
    }),
  );
});

test("what one turn of the event loop settles is released at once", async () => {
  const released: (readonly number[])[] = [];
  const unsettled = new Unsettled<number>((numbers) => released.push(numbers));
  const [first, second, third] = [1, 2, 3].map((n) => unsettled.add(n, 1, n));
  for (const taken of [second, first, first]) if (taken) unsettled.settle(taken);
  assert.deepEqual(released, []);
  await Promise.resolve();
  assert.deepEqual(released, [[1, 2]]);
  if (third) unsettled.settle(third);
  await Promise.resolve();
  assert.deepEqual(released, [[1, 2], [3]]);
});

test("what is settled behind one that isn't can be acknowledged by itself", () => {
  const released: number[] = [];
  const unsettled = new Unsettled<number>((numbers) => released.push(...numbers));
  const [first, , third] = [1, 2, 3, 4].map((n) => unsettled.add(n, 1, n));
  for (const taken of [first, third]) if (taken) unsettled.settle(taken);
  unsettled.flush();
  assert.deepEqual(released, [1]);
  assert.deepEqual(unsettled.behind(), [3]);
  assert.equal(unsettled.unfinished, 2);
});

test("what was released takes no memory for long, and settles no second time", () => {
  let released = 0;
  const unsettled = new Unsettled<number>(() => released++);
  for (let n = 1; n <= 100_000; n++) {
    const taken = unsettled.add(n, 1, n);
    unsettled.settle(taken);
    unsettled.flush();
    unsettled.settle(taken);
  }
  assert.equal(unsettled.count, 0);
  assert.equal(unsettled.bytes, 0);
  assert.equal(released, 100_000);
});
