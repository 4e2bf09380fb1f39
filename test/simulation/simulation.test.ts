/**
 * The whole core under seeded chance (`run.ts`). LEAT_SEEDS=1000 runs more of them, LEAT_SEED=123 one;
 * `npm run test:faults` runs 10,000.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noTally, runSeed } from "./seeds.ts";

const SEEDS = Number(process.env.LEAT_SEEDS ?? 150);
const ONLY = process.env.LEAT_SEED;

test("J1 to J8 hold whatever fails, and all that was accepted comes to its end (seeded simulation)", async (t) => {
  const tally = noTally();
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, n) => n + 1) : [Number(ONLY)];
  for (const seed of seeds) await runSeed(seed, tally);
  t.diagnostic(JSON.stringify(tally));
  // The programme itself is checked: it must have come to what it is there for.
  for (const [what, count] of Object.entries(tally)) {
    if (ONLY === undefined) assert.ok(count > 0, `nothing was ${what}`);
  }
});

test("the same seed makes the same run", async () => {
  const run = async () => {
    const tally = noTally();
    for (const seed of [1, 2, 3]) await runSeed(seed, tally);
    return tally;
  };
  assert.deepEqual(await run(), await run());
});
