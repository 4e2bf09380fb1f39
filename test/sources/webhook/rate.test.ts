import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimit } from "../../../src/sources/webhook/rate.ts";

test("lets the count through at once, then one for each part of the period", () => {
  const limit = new RateLimit({ count: 10, perMs: 1000 });
  for (let n = 0; n < 10; n++) assert.equal(limit.take(5000), 0);
  assert.equal(limit.take(5000), 100);
  assert.equal(limit.take(5050), 50);
  assert.equal(limit.take(5100), 0);
  assert.ok(limit.take(5100) > 0);
});

test("a long silence saves up no more than the count", () => {
  const limit = new RateLimit({ count: 2, perMs: 1000 });
  assert.equal(limit.take(0), 0);
  assert.equal(limit.take(1e9), 0);
  assert.equal(limit.take(1e9), 0);
  assert.ok(limit.take(1e9) > 0);
});
