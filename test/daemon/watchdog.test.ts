import assert from "node:assert/strict";
import { test } from "node:test";
import { startWatchdog } from "../../src/daemon/watchdog.ts";
import { keptLog } from "../http/log.ts";
import { SimulatedClock } from "../journal/simulation/simulated-clock.ts";
import { waitFor } from "../wait-for.ts";

const WITHIN = 60_000;

/** A watchdog whose writer answers when told to. */
function watched() {
  const clock = new SimulatedClock();
  const asked: { answer(): void; refuse(): void }[] = [];
  const { log, lines } = keptLog();
  let told = 0;
  const stop = startWatchdog({
    journal: {
      ping: () =>
        new Promise<void>((resolve, reject) => {
          asked.push({ answer: resolve, refuse: () => reject(new Error("silent")) });
        }),
    },
    clock,
    log,
    withinMs: WITHIN,
    works: async () => {
      told++;
    },
  });
  return { clock, asked, lines, told: () => told, stop };
}

test("it says that the daemon works at once, and three times within the time", async () => {
  const { clock, asked, told, stop } = watched();
  for (let n = 1; n <= 4; n++) {
    asked.at(-1)?.answer();
    await waitFor("it to be told", () => told() === n);
    clock.pass(WITHIN / 3 - 1);
    assert.equal(asked.length, n);
    clock.pass(1);
    assert.equal(asked.length, n + 1);
  }
  stop();
});

test("a writer that doesn't answer is not said to work; it is asked again soon, and the log has one line", async () => {
  const { clock, asked, told, lines, stop } = watched();
  for (let n = 1; n <= 3; n++) {
    asked.at(-1)?.refuse();
    await waitFor("the next look", () => {
      clock.pass(WITHIN / 12);
      return asked.length > n;
    });
  }
  assert.equal(told(), 0);
  assert.equal(lines.length, 1);
  assert.match(lines[0]?.message ?? "", /^the watchdog isn't told/);
  asked.at(-1)?.answer();
  await waitFor("it to be told", () => told() === 1);
  assert.match(lines[1]?.message ?? "", /told again/);
  stop();
});

test("an answer that the event loop comes to late doesn't count; a pause that is over does no harm", async () => {
  const { clock, asked, told, lines, stop } = watched();
  clock.standStill(5_001);
  asked.at(-1)?.answer();
  await waitFor("the trouble to be seen", () => lines.length === 1);
  assert.equal(told(), 0);
  // It stands still for 45 s, and looks then: what counts is that it works now.
  clock.standStill(45_000);
  clock.pass(WITHIN / 12);
  asked.at(-1)?.answer();
  await waitFor("it to be told", () => told() === 1);
  stop();
});

test("stopped, it neither looks nor says anything", async () => {
  const { clock, asked, told, stop } = watched();
  stop();
  asked.at(-1)?.answer();
  await new Promise((resolve) => setImmediate(resolve));
  clock.pass(10 * WITHIN);
  assert.deepEqual([asked.length, told()], [1, 0]);
});
