/** A process that runs the seeds it is sent, and says of each how it went. */
import { noTally, runSeed } from "./seeds.ts";

export interface SeedsDone {
  readonly tally: ReturnType<typeof noTally>;
  readonly failures: readonly string[];
}

process.on("message", async ({ from, to }: { from: number; to: number }) => {
  const tally = noTally();
  const failures: string[] = [];
  for (let seed = from; seed <= to; seed++) {
    await runSeed(seed, tally).catch((error: unknown) => failures.push(String(error)));
  }
  const done: SeedsDone = { tally, failures };
  process.send?.(done);
});

// Who asked has gone.
process.on("disconnect", () => process.exit());
