/**
 * What an I/O error leaves behind. A write that the disk refused stays in the kernel's memory, where the next process
 * reads it as if it were on disk; no later fsync writes it again, and after a power loss it would be a hole in the log,
 * which ends there for SQLite. So the process that met the error leaves a file behind, and the next start has all that
 * the log holds written anew, to the database, before it appends anything.
 * (https://www.usenix.org/conference/atc20/presentation/rebello)
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FILE = "doubt";

/** The journal is lost to this process by an I/O error. A disk that takes nothing more can't be told even this. */
export function leaveDoubt(folder: string): void {
  try {
    writeFileSync(join(folder, FILE), "journal.db-wal\n", { mode: 0o600, flush: true });
  } catch {
    // As above.
  }
}

export function inDoubt(folder: string): boolean {
  return existsSync(join(folder, FILE));
}

/** All of it is on disk. */
export function clearDoubt(folder: string): void {
  rmSync(join(folder, FILE), { force: true });
}
