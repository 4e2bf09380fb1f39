/** The seed of a run that goes by chance: printed, and run again by LEAT_SEED. */
import { randomInt } from "node:crypto";
import type { TestContext } from "node:test";
import { SeededChance } from "../journal/simulation/chance.ts";

/** For the ledger, and for all that the run leaves to chance. */
export interface Seeded {
  readonly seed: number;
  readonly chance: SeededChance;
}

export function seeded(t: TestContext): Seeded {
  const seed = Number(process.env.LEAT_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed}: LEAT_SEED reruns it`);
  return { seed, chance: new SeededChance(seed) };
}
