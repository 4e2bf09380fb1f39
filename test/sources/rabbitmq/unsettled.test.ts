import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Unsettled } from "../../../src/sources/rabbitmq/unsettled.ts";

test("only what nothing unfinished stands before is acknowledged, in whichever order it gets on disk", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat())), (steps) => {
      const unsettled = new Unsettled<number>();
      const taken: ReturnType<typeof unsettled.add>[] = [];
      let acknowledged = 0;
      for (const [add, pick] of steps) {
        if (add || taken.length === 0) taken.push(unsettled.add(taken.length + 1, 10, taken.length));
        else (taken[pick % taken.length] as (typeof taken)[0]).settled = true;
        const last = unsettled.release();
        if (last !== null) {
          assert.ok(last > acknowledged, "never twice");
          acknowledged = last;
        }
        const unfinished = taken.findIndex(({ settled }) => !settled);
        assert.equal(acknowledged, unfinished < 0 ? taken.length : unfinished);
        assert.equal(unsettled.count, taken.length - acknowledged);
        assert.equal(unsettled.bytes, (taken.length - acknowledged) * 10);
        assert.equal(unsettled.oldest, unfinished < 0 ? null : unfinished);
      }
    }),
  );
});

test("what is settled behind one that isn't can be acknowledged by itself", () => {
  const unsettled = new Unsettled<number>();
  const [first, , third] = [1, 2, 3, 4].map((n) => unsettled.add(n, 1, n));
  for (const taken of [first, third]) if (taken) taken.settled = true;
  assert.equal(unsettled.release(), 1);
  assert.deepEqual(unsettled.behind(), [3]);
  assert.equal(unsettled.unfinished, 2);
});

test("what was acknowledged takes no memory for long", () => {
  const unsettled = new Unsettled<number>();
  for (let n = 1; n <= 100_000; n++) {
    unsettled.add(n, 1, n).settled = true;
    assert.equal(unsettled.release(), n);
  }
  assert.equal(unsettled.count, 0);
});
