/**
 * Whether the machine has been started anew since the journal was last open. What is in the file system then is what had
 * reached the disk: behind the last fsync some of it, in any order. Otherwise (a kill -9, a crash of the process alone)
 * it is all that was written, and what doesn't fit is damage.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Linux makes a new one at each boot; a container has its host's. */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const FILE = "boot";

/** True also where that isn't known: a journal from another machine, or from an older Leat. */
export function bootedSince(folder: string): boolean {
  const now = read(BOOT_ID);
  return now === null || read(join(folder, FILE)) !== now;
}

/** The journal is open. Where there is no room for it, the next start doesn't know. */
export function markBoot(folder: string): void {
  const now = read(BOOT_ID);
  if (now === null) return;
  try {
    writeFileSync(join(folder, FILE), now, { mode: 0o600 });
  } catch {
    // As above.
  }
}

function read(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
