import assert from "node:assert/strict";
import { test } from "node:test";
import type { SourceStatus, StandingStatus } from "../../src/daemon/face.ts";
import { tellOfSources } from "../../src/daemon/source-news.ts";

function news() {
  let now = 0;
  let due: { at: number; callback: () => void } | null = null;
  const clock = {
    wall: () => now,
    monotonic: () => now,
    after(ms: number, callback: () => void) {
      const timer = { at: now + ms, callback };
      due = timer;
      return () => {
        if (due === timer) due = null;
      };
    },
  };
  let standing: StandingStatus = {
    state: "waiting",
    error: "connecting",
    message: "has not connected yet",
    since: 0,
    everConnected: false,
    madeAt: 0,
    reconnects: 0,
  };
  const told: { at: number; state: unknown; error: unknown }[] = [];
  const { look, stop } = tellOfSources(
    (): SourceStatus[] => [
      { name: "orders", type: "kafka", standing, lag: null, lastAt: null },
      { name: "hooks", type: "webhook", standing: null, lag: null, lastAt: null },
    ],
    (type, subject, data) => {
      assert.equal(type, "leat.source");
      assert.equal(subject, "orders");
      const { state, error } = data as { state: string; error: string | null };
      told.push({ at: now, state, error });
    },
    clock,
  );
  look();
  return {
    told,
    stop,
    waits: () => due !== null,
    stands(state: StandingStatus["state"], error: string | null = null) {
      const everConnected = standing.everConnected || state === "connected";
      standing = { ...standing, state, error, since: now, everConnected };
      look();
    },
    pass(ms: number) {
      const end = now + ms;
      while (due !== null && due.at <= end) {
        const { at, callback } = due;
        due = null;
        now = at;
        callback();
      }
      now = end;
    },
  };
}

test("a source that has its broker soon after the start is no news", () => {
  const { told, stands, pass, waits } = news();
  pass(9_999);
  stands("connected");
  pass(3_600_000);
  assert.deepEqual(told, []);
  assert.equal(waits(), false);
});

test("one that hasn't after ten seconds is told of, and when it has", () => {
  const { told, stands, pass } = news();
  stands("waiting", "connection_refused");
  pass(20_000);
  stands("connected");
  assert.deepEqual(told, [
    { at: 10_000, state: "waiting", error: "connection_refused" },
    { at: 20_000, state: "connected", error: null },
  ]);
});

test("a lost broker is told of at once, and again when it is back", () => {
  const { told, stands, pass } = news();
  stands("connected");
  pass(1000);
  stands("waiting", "reset");
  pass(1000);
  stands("connected");
  assert.deepEqual(told, [
    { at: 1000, state: "waiting", error: "reset" },
    { at: 2000, state: "connected", error: null },
  ]);
});

test("a broker that flaps is told of once a minute and state, and the last word is how it stands", () => {
  const { told, stands, pass, stop, waits } = news();
  stands("connected");
  for (let n = 0; n < 100; n++) {
    pass(500);
    stands("waiting", "reset");
    pass(500);
    stands("connected");
  }
  stands("waiting", "reset");
  pass(600_000);
  assert.ok(told.length <= 6, JSON.stringify(told));
  assert.equal(told.at(-1)?.state, "waiting");
  told.forEach(({ at, state }, n) => {
    const before = told.slice(0, n).findLast((one) => one.state === state);
    assert.ok(before === undefined || at - before.at >= 60_000);
  });
  stands("connected");
  stands("waiting", "reset");
  pass(1);
  stands("connected");
  assert.equal(waits(), true);
  stop();
  assert.equal(waits(), false);
});
