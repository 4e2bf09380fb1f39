/**
 * The file that `--json` writes: what each measurement came to, and of each when, on which machine, from which commit and
 * by which command. A run of some measurements takes the place of those only.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import type { Row } from "./row.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
}

export interface Measured {
  readonly name: string;
  readonly date: string;
  /** With `+` at its end when the checkout had changes that were in no commit. */
  readonly commit: string;
  readonly command: string;
  readonly machine: Machine;
  readonly rows: readonly Row[];
}

export interface Run {
  readonly date: Date;
  readonly command: string;
  readonly measured: readonly { readonly name: string; readonly rows: readonly Row[] }[];
}

/** `order`: the names of all measurements, in the table's order. */
export function record(file: string, { date, command, measured }: Run, order: readonly string[]): void {
  const found = new Map(existsSync(file) ? readRecord(file).map((one) => [one.name, one]) : []);
  const [commit, machine] = [commitNow(), machineNow()];
  for (const { name, rows } of measured) {
    found.set(name, { name, date: date.toISOString(), commit, command, machine, rows });
  }
  const all = order.flatMap((name) => found.get(name) ?? []);
  writeFileSync(file, `${JSON.stringify({ measured: all }, null, 2)}\n`);
}

export function readRecord(file: string): Measured[] {
  return (JSON.parse(readFileSync(file, "utf8")) as { measured: Measured[] }).measured;
}

function machineNow(): Machine {
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
  };
}

function commitNow(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: import.meta.dirname, encoding: "utf8" }).trim();
  try {
    const changed = git("status", "--porcelain", "--untracked-files=no", "../src", ".") !== "";
    return git("rev-parse", "--short=12", "HEAD") + (changed ? "+" : "");
  } catch {
    return "unknown";
  }
}
