/** Journals in folders of their own, for tests. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type { JournalTuning } from "../../../src/journal/journal.ts";
import { type OpenJournal, openSqliteJournal } from "../../../src/journal/sqlite/open.ts";
import { type Logger, systemChance, systemClock } from "../../../src/ports.ts";
import type { OpenedJournal } from "../../conformance/log.ts";

const DAY = 86_400_000;

export const TUNING: JournalTuning = {
  retention: { ageMs: 7 * DAY, bytes: 10 * 2 ** 30, dead: { ageMs: 30 * DAY, bytes: 2 * 2 ** 30 } },
  limits: { uncommittedBytes: 32 * 2 ** 20, commitWaitMs: 10_000, dedupeIds: 5_000_000 },
};

export const quiet: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => quiet,
};

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed when the file's tests are done. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "leat-journal-"));
  folders.push(folder);
  return folder;
}

export function openOptions(path: string, more: Partial<OpenJournal> = {}): OpenJournal {
  return {
    path,
    tuning: TUNING,
    watermark: { share: 0.001, bytes: 2 ** 20 },
    clock: systemClock,
    chance: systemChance,
    log: quiet,
    ...more,
  };
}

export async function openAt(path: string, more: Partial<OpenJournal> = {}): Promise<OpenedJournal> {
  const journal = await openSqliteJournal(openOptions(path, more));
  return {
    journal,
    close: () => journal.close(),
    async reopen() {
      await journal.close();
      return openAt(path, more);
    },
  };
}
