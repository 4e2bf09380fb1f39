/** Every property of test/fuzz/ with LEAT_FUZZ_RUNS inputs (10,000); LEAT_FUZZ_ONLY: those whose names have this in them. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { properties as all } from "../fuzz/all.ts";
import { recordLedger } from "./ledger.ts";

const RUNS = Number(process.env.LEAT_FUZZ_RUNS ?? 10_000);
const SEED = Number(process.env.LEAT_FUZZ_SEED ?? Date.now() % 2 ** 31);
const ONLY = process.env.LEAT_FUZZ_ONLY ?? "";
const properties = all.filter(({ name }) => name.includes(ONLY));

after(stopIsolation);

test(`parsers of outside input take ${RUNS} inputs each${ONLY === "" ? "" : ` (${ONLY})`}, and none throws, hangs or misreads`, async (t) => {
  assert.notEqual(properties.length, 0, `a property's name has ${ONLY} in it`);
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
