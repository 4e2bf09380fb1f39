import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Circumstances, grantedWait, judge, waitAfter } from "../../src/delivery/retry.ts";
import { DELIVERED, REFUSED, RETRY, status } from "./kit.ts";

const MIDDLE = { random: () => 0.5 };
const first: Circumstances = { policy: RETRY, keyed: false, attempt: 1, ageMs: 0 };

test("delivered is delivered, whatever its age", () => {
  assert.deepEqual(judge(DELIVERED, { ...first, ageMs: 1e12, attempt: 99 }, MIDDLE), {
    outcome: "delivered",
  });
});

test("what no retry can help is dead at once", () => {
  const report = { result: "rejected", error: "unsendable", message: "a header" } as const;
  assert.deepEqual(judge(report, first, MIDDLE), {
    outcome: "dead",
    error: "unsendable",
    message: "a header",
  });
});

test("the default waits are 5 s, 20 s, 80 s, … up to 6 h", () => {
  const waits = [1, 2, 3, 4, 8, 1000].map((attempt) => waitAfter(RETRY, attempt));
  assert.deepEqual(waits, [5000, 20_000, 80_000, 320_000, 21_600_000, 21_600_000]);
  assert.deepEqual(judge(REFUSED, first, MIDDLE), { outcome: "retry", delayMs: 5000 });
});

for (const code of [
  100, 101, 199, 300, 301, 304, 307, 400, 401, 403, 404, 408, 413, 422, 429, 451, 500, 502, 503,
]) {
  test(`a ${code} is retried, as senders do, while nobody waits behind the event`, () => {
    assert.equal(judge(status(code), first, MIDDLE).outcome, "retry");
  });
}

for (const error of ["connection_refused", "dns", "tls", "timeout", "reset", "closed", "internal"]) {
  test(`${error} is retried`, () => {
    assert.equal(judge({ result: "failed", error, message: "" }, first, MIDDLE).outcome, "retry");
  });
}

test("an event with a key dies at once of 400, 404, 413 and 422, and of no other", () => {
  const codes = [400, 401, 403, 404, 409, 413, 422, 429, 500];
  const dead = codes.filter(
    (code) => judge(status(code), { ...first, keyed: true }, MIDDLE).outcome === "dead",
  );
  assert.deepEqual(dead, [400, 404, 413, 422]);
});

test("410 is dead, said so, with and without a constant URL", () => {
  for (const report of [status(410), { ...status(410), gone: true }]) {
    const verdict = judge(report, first, MIDDLE);
    assert.equal(verdict.outcome === "dead" && verdict.error, "gone");
  }
});

test("max_age counts from the first attempt: three days, or six hours for an event with a key", () => {
  const HOURS = 3_600_000;
  assert.equal(judge(REFUSED, { ...first, attempt: 9, ageMs: 72 * HOURS - 1 }, MIDDLE).outcome, "retry");
  assert.equal(judge(REFUSED, { ...first, attempt: 9, ageMs: 72 * HOURS }, MIDDLE).outcome, "dead");
  assert.equal(
    judge(REFUSED, { ...first, keyed: true, attempt: 9, ageMs: 6 * HOURS }, MIDDLE).outcome,
    "dead",
  );
});

test("max_attempts is the number of attempts, not of retries", () => {
  const policy = { ...RETRY, maxAttempts: 3 };
  const outcomes = [1, 2, 3].map((attempt) => judge(REFUSED, { ...first, policy, attempt }, MIDDLE).outcome);
  assert.deepEqual(outcomes, ["retry", "retry", "dead"]);
});

test("a schedule has its own waits and ends in death", () => {
  const policy = { ...RETRY, scheduleMs: [0, 5000, 300_000], jitter: 0 };
  const verdicts = [1, 2, 3, 4].map((attempt) => judge(REFUSED, { ...first, policy, attempt }, MIDDLE));
  assert.deepEqual(
    verdicts.map((verdict) => (verdict.outcome === "retry" ? verdict.delayMs : verdict.outcome)),
    [0, 5000, 300_000, "dead"],
  );
});

const policies = fc.record({
  initialMs: fc.integer({ min: 1, max: 1e6 }),
  factor: fc.double({ min: 1, max: 10, noNaN: true }),
  maxWaitMs: fc.integer({ min: 1, max: 1e8 }),
  jitter: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("property: a wait is within its spread and max_wait, never earlier than asked, never later than granted and spread", () => {
  fc.assert(
    fc.property(
      policies,
      fc.integer({ min: 1, max: 2000 }),
      fc.option(fc.integer({ min: 0, max: 1e9 }), { nil: undefined }),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (over, attempt, retryAfter, draw) => {
        const policy = { ...RETRY, ...over };
        const verdict = judge(status(503, retryAfter), { ...first, policy, attempt }, { random: () => draw });
        assert.equal(verdict.outcome, "retry");
        const delay = verdict.outcome === "retry" ? verdict.delayMs : -1;
        const wait = waitAfter(policy, attempt) ?? -1;
        const asked = grantedWait(policy, retryAfter ?? 0);
        assert.ok(Number.isSafeInteger(delay) && delay >= 0);
        assert.ok(delay >= asked, `${delay} is earlier than ${asked}`);
        assert.ok(delay <= policy.maxWaitMs + 1, `${delay} is over max_wait`);
        if (asked === 0) assert.ok(Math.abs(delay - wait) <= wait * policy.jitter + 1);
      },
    ),
  );
});
