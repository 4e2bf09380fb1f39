/** Runs of the simulation, seed by seed. */
import { Run } from "./run.ts";

/** What came up in the runs, for the programme's own check: that it is worth something. */
export type Tally = Record<(typeof COUNTED)[number], number>;

const COUNTED = [
  "seeds",
  "crashes",
  "disks full",
  "I/O errors",
  "defects",
  "events",
  "duplicates",
  "refused",
  "unknown",
  "delivered",
  "failed",
  "dead",
  "expired",
  "purged",
  "replays",
  "frames",
  "gaps",
] as const;

export function noTally(): Tally {
  return Object.fromEntries(COUNTED.map((what) => [what, 0])) as Tally;
}

/** Rejects with the seed, and how to run it alone. */
export async function runSeed(seed: number, tally: Tally): Promise<void> {
  const run = new Run(seed);
  try {
    await run.go();
  } catch (error) {
    throw new Error(`seed ${seed} (run it alone with LEAT_SEED=${seed}): ${error}`, { cause: error });
  }
  const { truth, senders, audience, receivers } = run;
  const outcome = (...names: string[]) => sum(names.map((name) => receivers.outcomes.get(name) ?? 0));
  tally.seeds++;
  tally.crashes += run.crashes;
  const { full, io, defect } = run.machine.struck();
  tally["disks full"] += full;
  tally["I/O errors"] += io;
  tally.defects += defect;
  tally.events += truth.events.size;
  for (const { said } of senders.sent) {
    if (said === "refused" || said === "unknown") tally[said]++;
    else if (said !== "waiting" && said.duplicate) tally.duplicates++;
  }
  tally.delivered += outcome("done");
  tally.failed += outcome("waiting", "dead", "either");
  for (const { dead, expired, purged, replays } of truth.subscriptions.values()) {
    tally.dead += dead.size;
    tally.expired += expired.size;
    tally.purged += purged.size;
    tally.replays += replays.size;
  }
  tally.frames += sum(audience.readers.map(({ frames }) => frames));
  tally.gaps += sum(audience.readers.map(({ gaps }) => gaps));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
