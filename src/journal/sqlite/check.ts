/** Looks at the database before anything is written to it: a damaged file is reported, never overwritten. */
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { LeatError } from "../../errors.ts";
import { bootedSince } from "./boot.ts";
import { fullError, lostError } from "./commit-errors.ts";
import { clearDoubt, inDoubt } from "./doubt.ts";
import { SCHEMA_VERSION } from "./schema.ts";
import { isDamage, openStorage, type Storage, storageFailure } from "./storage.ts";
import { walState } from "./wal-check.ts";

/** Up to this size the whole file is checked (about 1 s); a larger one is checked but for its events, which have checksums of their own. */
const WHOLE_BYTES = 256 * 1024 * 1024;
const SMALL_TABLES = ["meta", "source", "subscription", "account", "sink", "delivery", "dead"];

/**
 * Opens `journal.db` for the writer. Throws LeatError `damaged` `journal_damaged`. A missing or empty file is a new
 * journal, unless something beside it says that there was one.
 */
export function openChecked(file: string): Storage {
  const version = join(dirname(file), "VERSION");
  if (bytesOf(file) === 0) {
    const traces = [version, `${file}-wal`, join(dirname(file), "streams.db")];
    const trace = traces.find((path) => (path === version ? existsSync(path) : bytesOf(path) > 0));
    if (trace !== undefined) throw lost(file, trace);
    createPrivate(file);
  }
  const { damage, torn } = walState(file, bootedSince(dirname(file)));
  if (damage !== null) throw damaged(damage);
  let looking: Storage | null = null;
  try {
    // Read-only where there is a log: a writer that closes moves it into the file, damaged or not.
    looking = openStorage({ file, readOnly: bytesOf(`${file}-wal`) > 0 });
    check(looking, existsSync(version));
    looking.close();
    const storage = openStorage({ file });
    const doubted = inDoubt(dirname(file));
    if (torn || doubted) storage.checkpoint("TRUNCATE");
    if (doubted) clearDoubt(dirname(file));
    return storage;
  } catch (error) {
    looking?.close();
    throw openingError(error);
  }
}

/** What keeps the journal from being opened, as a LeatError where it is the file's or the disk's fault. */
export function openingError(error: unknown): unknown {
  const message = error instanceof Error ? error.message : String(error);
  if (isDamage(error)) return damaged(message, error);
  const failure = storageFailure(error);
  if (failure === "full") return fullError("disk_full");
  return failure === "storage" ? lostError(failure, message) : error;
}

function check(storage: Storage, begun: boolean): void {
  const version = Number(storage.prepare("PRAGMA user_version").get()?.user_version ?? 0);
  // VERSION is written once the tables are there, so they have been lost (with journal.db-wal, for one).
  if (version === 0 && begun) throw damaged("it has no tables, though it had them");
  if (version === 0 || version > SCHEMA_VERSION) return;
  const whole = storage.sizes().file <= WHOLE_BYTES;
  const checks = whole
    ? ["PRAGMA quick_check(1)"]
    : SMALL_TABLES.map((table) => `PRAGMA quick_check(${table})`);
  for (const check of checks) {
    const found = Object.values(storage.prepare(check).get() ?? { result: "no answer" })[0];
    if (found !== "ok") throw damaged(String(found));
  }
}

/** With mode 0600, which SQLite then gives to `-wal` and `-shm` too. Never opens a file that exists: SQLite may hold locks. */
export function createPrivate(file: string): void {
  try {
    closeSync(openSync(file, "ax", 0o600));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}

function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function lost(file: string, trace: string): LeatError {
  const state = existsSync(file) ? "empty" : "missing";
  return new LeatError(
    "damaged",
    "journal_damaged",
    `The journal's file is ${state}, but ${trace} is there: ${file}`,
    {
      hint:
        "Nothing was changed. Restore the folder from a backup, or move the whole folder away to start with an empty " +
        "journal.",
    },
  );
}

function damaged(what: string, cause?: unknown): LeatError {
  return new LeatError("damaged", "journal_damaged", `The journal's file is damaged: ${what}`, {
    hint:
      "Nothing was changed. Keep a copy of the folder; check the disk; restore a backup, or save what can be read as " +
      'docs/operating.md tells ("A file is damaged"), or move the folder away to start with an empty journal.',
    cause,
  });
}
