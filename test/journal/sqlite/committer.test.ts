/** The committer and the writer inline, with messages held back at will. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeatError } from "../../../src/errors.ts";
import { noLedger } from "../../../src/journal/sqlite/ledger-port.ts";
import { newEvent } from "../../conformance/log.ts";
import { type Process, World } from "../simulation/world.ts";
import { TUNING } from "./journal-kit.ts";

function world(): { world: World; process: Process } {
  const made = new World({ seed: 1, tuning: TUNING, ledger: noLedger });
  return { world: made, process: made.start() };
}

async function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "taken",
    (error: unknown) => (error instanceof LeatError ? error.code : String(error)),
  );
}

test("J1: append does not resolve before the writer's answer", async () => {
  const { world: made, process } = world();
  let resolved = false;
  const appending = process.committer.append(newEvent(), null).then(() => {
    resolved = true;
  });
  process.turn();
  process.write();
  await Promise.resolve();
  assert.equal(made.disk.prepare("SELECT count(*) AS n FROM event").get()?.n, 1);
  assert.ok(!resolved);
  process.receive();
  await appending;
  made.end();
});

test("an append that waits over limits.commit_wait is told that its outcome is unknown, and may still commit", async () => {
  const { world: made, process } = world();
  const time = made.clock.wall();
  const first = outcome(process.committer.append(newEvent({ id: "one", time }), 100_000));
  process.turn();
  made.clock.pass(9_000);
  const second = outcome(process.committer.append(newEvent({ id: "two" }), 1000));
  made.clock.pass(1_500);
  assert.equal(await first, "journal_slow");
  process.settle();
  assert.equal(await second, "taken");
  const again = process.committer.append(newEvent({ id: "one", time }), 100_000);
  process.settle();
  assert.equal((await again).duplicate, true);
  made.end();
});

test("a process that stood still reads the writer's answers before it calls an append late", async () => {
  const { world: made, process } = world();
  const first = outcome(process.committer.append(newEvent({ id: "one" }), 100_000));
  process.turn();
  process.write();
  made.clock.standStill(45_000);
  made.clock.pass(0);
  process.receive();
  assert.equal(await first, "taken");
  const second = outcome(process.committer.append(newEvent({ id: "two" }), 100_000));
  process.turn();
  made.clock.standStill(45_000);
  made.clock.pass(1_000);
  assert.equal(await second, "journal_slow", "nothing lay there");
  const third = outcome(process.committer.append(newEvent({ id: "three" }), 100_000));
  process.turn();
  for (let n = 0; n < 2; n++) {
    made.clock.standStill(45_000);
    made.clock.pass(0);
  }
  assert.equal(await third, "journal_slow", "one that stands still again and again is slow");
  process.settle();
  made.end();
});

test("after one for which there is no room, all of its turn is refused, and the next turn's small ones are taken", async () => {
  const limits = { ...TUNING.limits, uncommittedBytes: 500 };
  const made = new World({ seed: 1, tuning: { ...TUNING, limits }, ledger: noLedger });
  const process = made.start();
  const append = (bytes: number) =>
    outcome(process.committer.append(newEvent({ body: new Uint8Array(bytes) }), null));
  const together = [append(100), append(450), append(10), append(10)];
  process.turn();
  const later = append(10);
  process.settle();
  assert.deepEqual(await Promise.all(together), ["taken", "journal_busy", "journal_busy", "journal_busy"]);
  assert.equal(await later, "taken");
  made.end();
});

test("J2: one event that the journal can't hold is refused by itself; its neighbours are taken", async () => {
  const { world: made, process } = world();
  const results = [
    outcome(process.committer.append(newEvent(), null)),
    outcome(process.committer.append(newEvent({ time: 1.5 }), null)),
    outcome(process.committer.append(newEvent({ id: "same" }), 1000)),
    outcome(process.committer.append(newEvent({ source: "new", hops: Number.NaN }), 1000)),
    outcome(process.committer.append(newEvent({ source: "new" }), 1000)),
  ];
  process.settle();
  assert.deepEqual(await Promise.all(results), ["taken", "event_refused", "taken", "event_refused", "taken"]);
  assert.equal(made.disk.prepare("SELECT count(*) AS n FROM event").get()?.n, 3);
  made.end();
});

test("a full group is with the writer before the turn that fills it ends, without what is to be settled", async () => {
  const { world: made, process } = world();
  process.committer.setSink("billing", { hold: null, paused: "gone", breaker: null });
  const results = Array.from({ length: 9 }, () => outcome(process.committer.append(newEvent(), null)));
  const rows = (table: string) => made.disk.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n;
  process.write();
  assert.deepEqual([rows("event"), rows("sink")], [8, 0]);
  process.turn();
  process.settle();
  assert.deepEqual(await Promise.all(results), Array(9).fill("taken"));
  assert.deepEqual([rows("event"), rows("sink")], [9, 1]);
  made.end();
});

test("J6: a full disk refuses appends, keeps settlements, and goes on by itself once there is room", async () => {
  const { world: made, process } = world();
  process.committer.setSink("billing", { hold: null, paused: "gone", breaker: null });
  const first = outcome(process.committer.append(newEvent(), null));
  process.storage.failAfter(3, "full", 4);
  process.settle();
  assert.equal(await first, "journal_full");
  assert.equal(process.committer.stalled, true);
  const intake = process.committer.intake();
  assert.ok(!intake.open && intake.reason === "disk_full" && intake.retryAfterMs > 0);
  assert.equal(await outcome(process.committer.append(newEvent(), null)), "journal_full");
  for (let second = 0; second < 6; second++) {
    made.clock.pass(1000);
    process.tick();
    process.settle();
  }
  assert.equal(process.committer.stalled, false);
  assert.deepEqual(process.committer.intake(), { open: true });
  assert.match(String(made.disk.prepare("SELECT state FROM sink").get()?.state), /gone/);
  const last = outcome(process.committer.append(newEvent(), null));
  process.settle();
  assert.equal(await last, "taken");
  made.end();
});

test("below the watermark intake closes with a reason, while settlements go on, and opens again by itself", async () => {
  const { world: made, process } = world();
  process.storage.free = 100 * 2 ** 20;
  process.tick();
  process.settle();
  const intake = process.committer.intake();
  assert.deepEqual([intake.open, !intake.open && intake.reason], [false, "disk_low"]);
  assert.equal(process.committer.stalled, false);
  assert.equal(await outcome(process.committer.append(newEvent(), null)), "journal_full");
  process.committer.setSink("billing", { hold: null, paused: null, breaker: null });
  process.settle();
  assert.equal(made.disk.prepare("SELECT count(*) AS n FROM sink").get()?.n, 1);
  process.storage.free = 10 * 2 ** 30;
  process.tick();
  process.settle();
  assert.deepEqual(process.committer.intake(), { open: true });
  made.end();
});

test("an I/O error refuses all that waits, is never tried again, and fails the journal with exit 4's kind", async () => {
  const { world: made, process } = world();
  const results = [outcome(process.committer.append(newEvent(), null))];
  process.storage.failAfter(3, "io");
  process.turn();
  results.push(outcome(process.committer.append(newEvent(), null)));
  process.settle();
  assert.deepEqual(await Promise.all(results), ["journal_lost", "journal_lost"]);
  assert.ok(process.committer.lost instanceof LeatError);
  assert.equal(process.committer.lost.kind, "storage");
  const calls = process.storage.calls;
  assert.equal(await outcome(process.committer.append(newEvent(), null)), "journal_lost");
  assert.equal(await outcome(process.committer.ping()), "journal_lost");
  process.settle();
  assert.equal(process.storage.calls, calls);
  made.end();
});

test("drain resolves once all that was appended is committed", async () => {
  const { world: made, process } = world();
  const appending = outcome(process.committer.append(newEvent(), null));
  let drained = false;
  const draining = process.committer.drain().then(() => {
    drained = true;
  });
  await Promise.resolve();
  assert.ok(!drained);
  process.settle();
  await draining;
  assert.equal(await appending, "taken");
  await process.committer.drain();
  made.end();
});
