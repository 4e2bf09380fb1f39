/**
 * 10,000 seeds of the simulation (test/simulation/run.ts), on all cores. LEAT_SEEDS runs another number of them, from
 * LEAT_FIRST_SEED (1) on; a seed that fails is told, with how to run it alone.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { noTally } from "../simulation/seeds.ts";
import type { SeedsDone } from "../simulation/seeds-child.ts";
import { recordLedger } from "./ledger.ts";

const SEEDS = Number(process.env.LEAT_SEEDS ?? 10_000);
const FIRST = Number(process.env.LEAT_FIRST_SEED ?? 1);
/** So many come to everything. */
const ENOUGH = 1_000;
/** Handed to a process at a time. */
const BATCH = 20;
const CHILD = fileURLToPath(new URL("../simulation/seeds-child.ts", import.meta.url));

test(`${SEEDS} seeds of the simulation: J1 to J8 hold whatever fails`, async (t) => {
  const tally = noTally();
  const failures: string[] = [];
  const children: ChildProcess[] = [];
  t.after(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  const begun = performance.now();
  let next = FIRST;
  const work = async () => {
    const child = fork(CHILD, { execArgv: [] });
    children.push(child);
    while (next < FIRST + SEEDS) {
      const from = next;
      const to = Math.min(from + BATCH, FIRST + SEEDS) - 1;
      next = to + 1;
      const done = await ask(child, { from, to });
      failures.push(...done.failures);
      for (const what of Object.keys(tally) as (keyof typeof tally)[]) tally[what] += done.tally[what];
    }
    child.disconnect();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  const seconds = Math.round((performance.now() - begun) / 1000);
  recordLedger(t, { ...tally, failed: failures.length, seconds });
  assert.deepEqual(failures, []);
  assert.equal(tally.seeds, SEEDS);
  // The programme itself: it must have come to all that it is there for, unless somebody looks at a few seeds.
  if (SEEDS < ENOUGH) return;
  for (const [what, count] of Object.entries(tally)) assert.ok(count > 0, `nothing was ${what}`);
});

/** Rejects when the process ends instead of answering. */
function ask(child: ChildProcess, seeds: { from: number; to: number }): Promise<SeedsDone> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error(`the process ended within seeds ${seeds.from} to ${seeds.to}`));
    child.once("exit", ended);
    child.once("message", (done) => {
      child.off("exit", ended);
      resolve(done as SeedsDone);
    });
    child.send(seeds);
  });
}
