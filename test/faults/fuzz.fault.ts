import assert from "node:assert/strict";
import { after, test } from "node:test";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { properties } from "../fuzz/all.ts";
import { recordLedger } from "./ledger.ts";

const RUNS = Number(process.env.LEAT_FUZZ_RUNS ?? 10_000);
const SEED = Number(process.env.LEAT_FUZZ_SEED ?? Date.now() % 2 ** 31);

after(stopIsolation);

test(`parsers of outside input take ${RUNS} inputs each, and none throws, hangs or misreads`, async (t) => {
  let [runs, slowestMs] = [0, 0];
  for (const { name, check } of properties) {
    await t.test(name, async () => {
      const checked = await check(RUNS, SEED);
      runs += checked.runs;
      slowestMs = Math.max(slowestMs, checked.slowestMs);
    });
  }
  recordLedger(t, {
    properties: properties.length,
    runs,
    "longest call, ms": Math.round(slowestMs * 10) / 10,
    seed: SEED,
  });
  assert.equal(runs, RUNS * properties.length);
});
