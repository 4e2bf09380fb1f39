/** Looks at the database before anything is written to it: a damaged file is reported, never overwritten. */
import { LeatError } from "../../errors.ts";
import { SCHEMA_VERSION } from "./schema.ts";
import { isDamage, openStorage, type Storage } from "./storage.ts";

/** Up to this size the whole file is checked (about 1 s); a larger one is checked but for its events, which have checksums of their own. */
const WHOLE_BYTES = 256 * 1024 * 1024;
const SMALL_TABLES = ["meta", "source", "subscription", "account", "sink", "delivery", "dead"];

/** Opens `journal.db` for the writer. Throws LeatError `damaged` `journal_damaged`. An empty file is a new journal. */
export function openChecked(file: string): Storage {
  let storage: Storage | null = null;
  try {
    storage = openStorage({ file });
    check(storage);
    return storage;
  } catch (error) {
    storage?.close();
    throw isDamage(error) ? damaged(error instanceof Error ? error.message : String(error), error) : error;
  }
}

function check(storage: Storage): void {
  const version = Number(storage.prepare("PRAGMA user_version").get()?.user_version ?? 0);
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

function damaged(what: string, cause?: unknown): LeatError {
  return new LeatError("damaged", "journal_damaged", `The journal's file is damaged: ${what}`, {
    hint:
      "Nothing was changed. Keep a copy of the folder; check the disk; restore a backup, or salvage with " +
      "`sqlite3 journal.db .recover`, or move the folder away to start with an empty journal.",
    cause,
  });
}
