import assert from "node:assert/strict";
import { test } from "node:test";
import { watchExpiries } from "../../src/daemon/expiries.ts";
import type { Counts, Subscription } from "../../src/journal/journal.ts";
import { silent } from "../delivery/kit.ts";

const HOUR = 3_600_000;

/** A ledger of one subscription whose count of expired events is set by hand, and a clock that is moved by hand. */
function stage(before: number) {
  const counts = { expired: before } as Counts & { expired: number };
  const subscription = {
    definition: { name: "all/gone", sink: "gone" },
    counts: () => [{ route: "all", counts }],
  } as unknown as Subscription;
  const lines: object[] = [];
  let now = 0;
  let due: { at: number; callback: () => void } | null = null;
  const clock = {
    wall: () => 1_800_000_000_000 + now,
    monotonic: () => now,
    after(ms: number, callback: () => void) {
      due = { at: now + ms, callback };
      return () => {
        due = null;
      };
    },
  };
  const ledger = { subscriptions: () => [subscription] };
  const expiries = watchExpiries({ ledger: ledger as never }, clock, {
    ...silent,
    warn: (fields) => void lines.push(fields),
  });
  const pass = (ms: number) => {
    for (const end = now + ms; ; ) {
      if (due === null || due.at > end) {
        now = end;
        return;
      }
      now = due.at;
      due.callback();
    }
  };
  return { counts, lines, pass, expiries };
}

test("expired events are told of soon, then once a minute, and shown for an hour", () => {
  const { counts, lines, pass, expiries } = stage(0);
  pass(20_000);
  assert.deepEqual([lines, expiries.notes()], [[], []]);
  counts.expired = 5;
  pass(10_000);
  counts.expired = 7;
  pass(10_000);
  assert.deepEqual(lines, [{ subscription: "all/gone", sink: "gone", expired: 5 }]);
  pass(60_000);
  assert.deepEqual(lines.at(-1), { subscription: "all/gone", sink: "gone", expired: 2 });
  const [note] = expiries.notes();
  assert.equal(note?.part, "subscription all/gone");
  assert.match(note?.reason ?? "", /^its backlog is at its bound: 7 of its oldest events have expired/);
  pass(HOUR);
  assert.equal(lines.length, 2);
  assert.deepEqual(expiries.notes(), []);
  expiries.stop();
});

test("what had expired before the start isn't told of again", () => {
  const { lines, pass, expiries } = stage(12);
  pass(60_000);
  assert.deepEqual([lines, expiries.notes()], [[], []]);
  expiries.stop();
});
