import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { breakerAfter, CLOSED, signOf } from "../../src/delivery/breaker.ts";
import { DELIVERED, REFUSED, status } from "./kit.ts";

const policy = { failures: 3, probeMs: 5000, maxMs: 60_000 };

test("network errors, time-outs, 429 and 5xx are trouble; every other answer shows life", () => {
  assert.equal(signOf(REFUSED), "trouble");
  assert.equal(signOf({ result: "failed", error: "timeout", message: "" }), "trouble");
  for (const code of [429, 500, 502, 503, 504]) assert.equal(signOf(status(code)), "trouble", String(code));
  for (const code of [301, 400, 401, 404, 410, 422]) assert.equal(signOf(status(code)), "life", String(code));
  assert.equal(signOf(DELIVERED), "life");
  assert.equal(signOf({ result: "rejected", error: "unsendable", message: "" }), null);
});

test("opens after so many failures in a row, and one sign of life between them starts the count anew", () => {
  const run = (signs: readonly ("life" | "trouble")[]) =>
    signs.reduce((breaker, sign) => breakerAfter(breaker, sign, false, policy), CLOSED);
  assert.equal(run(["trouble", "trouble"]).waitMs, null);
  assert.equal(run(["trouble", "trouble", "life", "trouble", "trouble"]).waitMs, null);
  assert.deepEqual(run(["trouble", "trouble", "trouble"]), { failures: 3, waitMs: 5000 });
});

test("only a probe that fails doubles the wait, up to a minute; any success closes it", () => {
  let breaker = { failures: 3, waitMs: 5000 as number | null };
  assert.equal(breakerAfter(breaker, "trouble", false, policy), breaker);
  const waits: (number | null)[] = [];
  for (let probe = 0; probe < 6; probe++) {
    breaker = breakerAfter(breaker, "trouble", true, policy);
    waits.push(breaker.waitMs);
  }
  assert.deepEqual(waits, [10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(breakerAfter(breaker, "life", false, policy), CLOSED);
});

test("property: whatever happens, it is open only after enough failures in a row, and life closes it", () => {
  const sign = fc.constantFrom<"life" | "trouble">("life", "trouble");
  fc.assert(
    fc.property(fc.array(fc.tuple(sign, fc.boolean())), (steps) => {
      let breaker = CLOSED;
      let row = 0;
      for (const [what, probe] of steps) {
        breaker = breakerAfter(breaker, what, probe, policy);
        row = what === "life" ? 0 : row + 1;
        assert.equal(breaker.waitMs !== null, row >= policy.failures);
        assert.ok(breaker.waitMs === null || breaker.waitMs <= policy.maxMs);
      }
    }),
  );
});
