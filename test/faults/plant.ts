/**
 * Faults planted into a real daemon at a moment that is chosen, not met by chance: at the nth time that a thread runs a
 * statement of SQLite (planted-sql.ts), or at the nth write or fsync of one of its files (planted-disk.c). The product
 * has no code for it.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface SqlFault {
  /** The name of the thread: `journal writer`, `journal checkpoints`, … */
  readonly thread: string;
  /** A regular expression that the statement fits, spaces and all. */
  readonly sql: string;
  readonly when: "before" | "after";
  /** Counted from 1, in this thread of this process. */
  readonly nth: number;
  /** SIGKILL for the process; for the thread an end, standing still for ever, or an exception that nobody catches. */
  readonly does: "kill" | "end" | "hang" | "throw";
  /** Statements count only once this file exists. */
  readonly armedBy?: string;
}

export interface PlantedSql {
  readonly fault?: SqlFault;
  /** A full commit is made to be a relaxed one: the control of the power-loss runs. */
  readonly neverSynced?: boolean;
  /** Makes of this Leat a later one, with so many more steps of the schema. */
  readonly migrations?: readonly string[];
}

export interface DiskFault {
  /** How the file's path ends: `journal.db`, `journal.db-wal`. */
  readonly file: string;
  readonly call: "write" | "sync";
  readonly nth: number;
  /** `kill-within`: half of the bytes are written. A number: the call fails with it, `times` times (0: for ever). */
  readonly does: "kill-before" | "kill-within" | "kill-after" | number;
  readonly times?: number;
}

export const EIO = 5;

export interface Planter {
  /** For the daemon's process. */
  readonly env: Readonly<Record<string, string>>;
  /** What the processes that start from now on will meet. */
  sql(planted: PlantedSql): void;
  disk(fault: DiskFault | null): void;
  /** A file that isn't there yet, for `armedBy`. */
  readonly trigger: string;
  disarm(): void;
  arm(): void;
  close(): void;
}

/** Needs a C compiler, `cc`. */
export function makePlanter(): Planter {
  const folder = mkdtempSync(join(tmpdir(), "leat-plant-"));
  const [sqlFile, diskFile, trigger] = ["sql.json", "disk", "armed"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const planter: Planter = {
    env: {
      LD_PRELOAD: compile(folder),
      LEAT_DISK_FAULT: diskFile,
      LEAT_SQL_FAULT: sqlFile,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, "planted-sql.ts"))}`,
    },
    trigger,
    sql: (planted) => writeFileSync(sqlFile, JSON.stringify(planted)),
    disk(fault) {
      const line = fault && [fault.file, fault.call, fault.nth, fault.does, fault.times ?? 1].join(" ");
      writeFileSync(diskFile, line ?? "");
    },
    disarm: () => rmSync(trigger, { force: true }),
    arm: () => writeFileSync(trigger, ""),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
  planter.sql({});
  planter.disk(null);
  return planter;
}

function compile(folder: string): string {
  const library = join(folder, "planted-disk.so");
  const source = join(import.meta.dirname, "planted-disk.c");
  try {
    execFileSync("cc", ["-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], { stdio: "pipe" });
  } catch (cause) {
    throw new Error("The fault runs need a C compiler: `apt-get install gcc libc6-dev`.", { cause });
  }
  return library;
}
