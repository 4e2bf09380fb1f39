/** Every parser of outside input, with some hundreds of inputs each; `npm run test:faults` has ten thousand. */
import { after, test } from "node:test";
import { stopIsolation } from "../../src/routing/isolation.ts";
import { properties } from "./all.ts";

const RUNS = Number(process.env.LEAT_FUZZ_RUNS ?? 200);
const SEED = Number(process.env.LEAT_FUZZ_SEED ?? Date.now() % 2 ** 31);

after(stopIsolation);

for (const { name, check } of properties) {
  test(name, async () => {
    await check(RUNS, SEED);
  });
}
