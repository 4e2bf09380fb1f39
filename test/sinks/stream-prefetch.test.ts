import assert from "node:assert/strict";
import { test } from "node:test";
import { prefetching } from "../../src/sinks/stream/prefetch.ts";

test("all are visited once, in order and by their place, each after it was prefetched and not long after", () => {
  const prefetched: number[] = [];
  const all = Array.from({ length: 100 }, (_, n) => ({ n, prefetch: () => prefetched.push(n) }));
  const visited: number[] = [];
  prefetching(all, (one, nth) => {
    assert.equal(one, all[nth]);
    visited.push(one.n);
    assert.ok(prefetched.includes(one.n));
    assert.ok(prefetched.length - visited.length < 32);
  });
  assert.deepEqual(
    visited,
    Array.from({ length: 100 }, (_, n) => n),
  );
  assert.deepEqual(prefetched, visited);
  prefetching([], () => assert.fail("nobody"));
});
