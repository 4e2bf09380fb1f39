/** What a process takes of the machine, from Linux' /proc, and whether it takes ever more. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * An environment as in a container of 512 MiB. On a machine with much memory V8 lets garbage lie for minutes, and glibc
 * keeps an arena for each thread: growth would hide in that.
 */
export const SMALL_CONTAINER = {
  NODE_OPTIONS: "--max-old-space-size=256 --max-semi-space-size=8",
  MALLOC_ARENA_MAX: "2",
};

export interface ProcessFigures {
  readonly residentBytes: number;
  readonly threads: number;
  readonly descriptors: number;
}

export function processFigures(pid: number): ProcessFigures {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  return {
    residentBytes: field("VmRSS") * 1024,
    threads: field("Threads"),
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

/** The sizes of the journal's files in a daemon's folder, in bytes. */
export function journalFigures(folder: string): { fileBytes: number; walBytes: number } {
  let [fileBytes, walBytes] = [0, 0];
  const data = join(folder, "data");
  for (const name of readdirSync(data)) {
    if (name === "ballast") continue;
    const bytes = statSync(join(data, name), { throwIfNoEntry: false })?.size ?? 0;
    if (name.endsWith("-wal")) walBytes += bytes;
    else fileBytes += bytes;
  }
  return { fileBytes, walBytes };
}

/** By how much a figure moved from the first to the last of its samples, by the straight line that fits them best. */
export function drift(samples: readonly { readonly at: number; readonly value: number }[]): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return 0;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const at = mean(samples.map((sample) => sample.at));
  const value = mean(samples.map((sample) => sample.value));
  let [above, below] = [0, 0];
  for (const sample of samples) {
    above += (sample.at - at) * (sample.value - value);
    below += (sample.at - at) ** 2;
  }
  return below === 0 ? 0 : (above / below) * (last.at - first.at);
}
