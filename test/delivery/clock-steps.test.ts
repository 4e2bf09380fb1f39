import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockSteps } from "../../src/delivery/clock-steps.ts";

const HOUR = 3_600_000;

/** A clock whose wall and monotonic time are set by hand. */
function handClock() {
  const at = { wall: 1_800_000_000_000, monotonic: 0 };
  return {
    at,
    pass(ms: number) {
      at.wall += ms;
      at.monotonic += ms;
    },
    clock: { wall: () => at.wall, monotonic: () => at.monotonic, after: () => () => {} },
  };
}

test("a step forth makes nothing older, and time that passes does", () => {
  const { at, pass, clock } = handClock();
  const steps = new ClockSteps(clock);
  const before = steps.now();
  pass(1000);
  at.wall += 96 * HOUR;
  assert.equal(steps.since(before), 1000);
  pass(5000);
  assert.equal(steps.since(before), 6000);
  const after = steps.now();
  pass(HOUR);
  assert.equal(steps.since(after), HOUR);
  assert.equal(steps.since(before), HOUR + 6000);
});

test("a step back makes nothing negative, and nothing older than it is", () => {
  const { at, pass, clock } = handClock();
  const steps = new ClockSteps(clock);
  const longBefore = steps.now();
  pass(8 * HOUR);
  const before = steps.now();
  pass(2 * HOUR);
  at.wall -= 5 * HOUR;
  assert.equal(steps.since(longBefore), 10 * HOUR);
  assert.equal(steps.since(before), 0);
  const after = steps.now();
  pass(HOUR);
  assert.equal(steps.since(after), HOUR);
  assert.equal(steps.since(longBefore), 11 * HOUR);
});

test("forth and back again comes out even", () => {
  const { at, pass, clock } = handClock();
  const steps = new ClockSteps(clock);
  const before = steps.now();
  pass(1000);
  at.wall += HOUR;
  steps.now();
  pass(1000);
  at.wall -= HOUR;
  assert.equal(steps.since(before), 2000);
});

test("a clock that is slewed slowly is followed", () => {
  const { at, pass, clock } = handClock();
  const steps = new ClockSteps(clock);
  const before = steps.now();
  for (let second = 0; second < 10; second++) {
    pass(1000);
    at.wall += 50;
    steps.now();
  }
  assert.equal(steps.since(before), 10_500);
});
