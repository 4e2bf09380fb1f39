import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "../../src/delivery/rate.ts";

test("property: never lets more than the rate and its burst through, and the rate itself in the long run", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.constantFrom(1000, 60_000, 3_600_000),
      fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 }),
      (count, perMs, pauses) => {
        const bucket = new TokenBucket({ count, perMs }, 0);
        let now = 0;
        let taken = 0;
        for (const pause of pauses) {
          now += pause;
          for (let free = bucket.available(now); free > 0; free--, taken++) bucket.take();
          assert.equal(bucket.available(now), 0);
        }
        const burst = Math.max(1, Math.floor((count / perMs) * 100));
        assert.ok(taken <= (now * count) / perMs + burst + 1e-6);
      },
    ),
  );
});

test("says how long to wait, and then there is one", () => {
  const bucket = new TokenBucket({ count: 5, perMs: 3_600_000 }, 0);
  assert.equal(bucket.available(0), 1);
  bucket.take();
  const wait = bucket.waitMs(0);
  assert.equal(wait, 720_000);
  assert.equal(bucket.available(wait - 1), 0);
  assert.equal(bucket.available(wait), 1);
});

test("what was taken and not used can be given back, up to the burst", () => {
  const bucket = new TokenBucket({ count: 10, perMs: 1000 }, 0);
  bucket.take();
  bucket.giveBack();
  bucket.giveBack();
  assert.equal(bucket.available(0), 1);
});
