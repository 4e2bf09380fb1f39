/** Runs of the simulation, seed by seed. */
import { Run } from "./run.ts";

/** What came up in the runs, for the programme's own check: that it is worth something. */
export interface Tally {
  seeds: number;
  events: number;
  deliveries: number;
  frames: number;
  crashes: number;
}

export function noTally(): Tally {
  return { seeds: 0, events: 0, deliveries: 0, frames: 0, crashes: 0 };
}

/** Rejects with the seed, and how to run it alone. */
export async function runSeed(seed: number, tally: Tally): Promise<void> {
  const run = new Run(seed);
  try {
    await run.go();
  } catch (error) {
    throw new Error(`seed ${seed} (run it alone with LEAT_SEED=${seed}): ${error}`, { cause: error });
  }
  const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, each) => total + each, 0);
  tally.seeds++;
  tally.events += run.truth.events.size;
  tally.deliveries += sum(run.receivers.outcomes.values());
  tally.frames += sum(run.readers.map(({ frames }) => frames));
  tally.crashes += run.crashes;
}
