import assert from "node:assert/strict";
import { test } from "node:test";
import { Watchdog } from "../../../src/brokers/kafka/watchdog.ts";

const OPTIONS = { stallMs: 50_000, joinMs: 60_000 };

/** Time that passes as told; a step is what the clock's timers see of it. */
function rig(inHand: readonly number[] = []) {
  let now = 0;
  let stalled = 0;
  let due: { readonly at: number; readonly run: () => void } | null = null;
  const clock = {
    wall: () => now,
    monotonic: () => now,
    after: (ms: number, run: () => void) => {
      due = { at: now + ms, run };
      return () => (due = null);
    },
  };
  const watchdog = new Watchdog(clock, { ...OPTIONS, inHand: () => inHand, stalled: () => stalled++ });
  const pass = (ms: number, each: () => void = () => {}) => {
    for (const end = now + ms; now < end; ) {
      now += 1_000;
      each();
      const timer = due;
      if (timer !== null && timer.at <= now) {
        due = null;
        timer.run();
      }
    }
  };
  return { watchdog, pass, jump: (ms: number) => (now += ms), stalled: () => stalled };
}

test("a loop that goes round is fine for any time", () => {
  const { watchdog, pass, stalled } = rig();
  watchdog.start();
  watchdog.joined();
  pass(600_000, () => watchdog.alive(1));
  assert.equal(stalled(), 0);
});

test("a loop that says nothing any more has stalled, though another goes round", () => {
  const { watchdog, pass, stalled } = rig();
  watchdog.start();
  watchdog.joined();
  watchdog.alive(1);
  pass(70_000, () => watchdog.alive(2));
  assert.equal(stalled(), 1);
});

test("what is in hand since its last word explains a loop's silence", () => {
  const { watchdog, pass, stalled } = rig([1_000]);
  watchdog.start();
  watchdog.joined();
  watchdog.alive(1);
  pass(300_000);
  assert.equal(stalled(), 0);
});

test("joining may take as long as the group's slowest member, and no longer", () => {
  const { watchdog, pass, stalled } = rig();
  watchdog.start();
  pass(100_000);
  assert.equal(stalled(), 0);
  pass(30_000);
  assert.equal(stalled(), 1);
});

test("a process that stood still is no stalled client", () => {
  const { watchdog, pass, jump, stalled } = rig();
  watchdog.start();
  watchdog.joined();
  watchdog.alive(1);
  jump(3_600_000);
  pass(20_000);
  assert.equal(stalled(), 0);
});
