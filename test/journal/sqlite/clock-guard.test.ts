import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockGuard, explained } from "../../../src/journal/sqlite/clock-guard.ts";
import { SimulatedClock } from "../simulation/simulated-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test("trusts a clock that walks, and one that is slewed slowly", () => {
  const clock = new SimulatedClock();
  const guard = new ClockGuard(clock, true);
  for (let n = 0; n < 100; n++) {
    clock.pass(MINUTE);
    clock.step(20);
    assert.ok(guard.trusted());
  }
});

for (const step of [2 * MINUTE, -2 * MINUTE, 1000 * HOUR]) {
  test(`a step of ${step / MINUTE} minutes takes ten minutes of good behaviour to forget`, () => {
    const clock = new SimulatedClock();
    const guard = new ClockGuard(clock, true);
    clock.step(step);
    assert.ok(!guard.trusted());
    clock.pass(9 * MINUTE);
    assert.ok(!guard.trusted());
    clock.pass(MINUTE + 1);
    assert.ok(guard.trusted());
  });
}

test("a person's confirmation brings trust back at once", () => {
  const clock = new SimulatedClock();
  const guard = new ClockGuard(clock, false);
  assert.ok(!guard.trusted());
  guard.confirm();
  assert.ok(guard.trusted());
});

test("a start is explained by downtime on the same boot, and by nothing else", () => {
  const last = { wall: 1000 * HOUR, uptime: 10 * HOUR, boot: "a" };
  assert.ok(explained(last, { wall: 1005 * HOUR, uptime: 15 * HOUR, boot: "a" }), "5 h down, 5 h later");
  assert.ok(!explained(last, { wall: 1005 * HOUR, uptime: 11 * HOUR, boot: "a" }), "1 h down, 5 h later");
  assert.ok(!explained(last, { wall: 990 * HOUR, uptime: 11 * HOUR, boot: "a" }), "set back");
  assert.ok(explained(last, { wall: 1000.5 * HOUR, uptime: 0.1 * HOUR, boot: "b" }), "a quick reboot");
  assert.ok(!explained(last, { wall: 900 * HOUR, uptime: 0.1 * HOUR, boot: "b" }), "set back over a reboot");
  assert.ok(
    !explained(last, { wall: 1100 * HOUR, uptime: 0.1 * HOUR, boot: "b" }),
    "days off, or a wrong clock",
  );
});
