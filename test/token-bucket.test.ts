import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "../src/token-bucket.ts";

test("property: a sink never lets more than the rate and its burst through, and the rate itself in the long run", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.constantFrom(1000, 60_000, 3_600_000),
      fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 }),
      (count, perMs, pauses) => {
        const bucket = TokenBucket.ofSink({ count, perMs }, 0);
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
  const bucket = TokenBucket.ofSink({ count: 5, perMs: 3_600_000 }, 0);
  assert.equal(bucket.available(0), 1);
  bucket.take();
  const wait = bucket.waitMs(0);
  assert.equal(wait, 720_000);
  assert.equal(bucket.available(wait - 1), 0);
  assert.equal(bucket.available(wait), 1);
});

test("what was taken and not used can be given back, up to the burst", () => {
  const bucket = TokenBucket.ofSink({ count: 10, perMs: 1000 }, 0);
  bucket.take();
  bucket.giveBack();
  bucket.giveBack();
  assert.equal(bucket.available(0), 1);
});

test("a source takes its whole count at once, then one for each part of the period, and saves up no more", () => {
  const bucket = TokenBucket.ofSource({ count: 10, perMs: 1000 }, 0);
  for (let n = 0; n < 10; n++) {
    assert.equal(bucket.waitMs(5000), 0);
    bucket.take();
  }
  assert.equal(bucket.waitMs(5000), 100);
  assert.equal(bucket.waitMs(5050), 50);
  assert.equal(bucket.waitMs(5100), 0);
  assert.equal(bucket.available(1e9), 10);
});

test("a clock that stands still or is asked about the past gives nothing away", () => {
  const bucket = TokenBucket.ofSink({ count: 10, perMs: 1000 }, 1000);
  bucket.take();
  assert.equal(bucket.available(500), 0);
});
