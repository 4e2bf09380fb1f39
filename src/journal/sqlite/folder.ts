/**
 * The journal's folder: made with mode 0700, held by one process at a time, and marked with the version of its layout.
 *
 * The lock is an exclusive transaction that is held on `lock.db`: refused at once to a second process, and freed by the
 * kernel when its holder ends, however it ends. The pid beside it is only shown: it is 1 in every container.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LeatError } from "../../errors.ts";
import { SCHEMA_VERSION } from "./schema.ts";

const SQLITE_BUSY = 5;

export interface Folder {
  readonly path: string;
  file(name: "journal.db" | "search.db" | "streams.db"): string;
  /** Lets another process in. */
  release(): void;
}

/** Throws LeatError `damaged` (`journal_locked`, `journal_newer`) or `configuration` (`journal_path`). */
export function openFolder(path: string): Folder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new LeatError("configuration", "journal_path", `The journal's folder can't be made: ${path}`, {
      cause: error,
      hint: "journal.path must be a folder that Leat may write to.",
    });
  }
  const lock = takeLock(path);
  try {
    checkVersion(path);
    writeFileSync(join(path, "pid"), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    path,
    file: (name) => join(path, name),
    release() {
      rmSync(join(path, "pid"), { force: true });
      lock.close();
    },
  };
}

function takeLock(path: string): DatabaseSync {
  let lock: DatabaseSync | null = null;
  try {
    lock = new DatabaseSync(join(path, "lock.db"), { timeout: 0 });
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) {
      throw new LeatError(
        "damaged",
        "journal_locked",
        `Another process has this journal open (${holder(path)}).`,
        {
          hint: "Stop it, or give this one another journal.path. A journal has one Leat at a time.",
          cause: error,
        },
      );
    }
    throw new LeatError("storage", "journal_path", `The journal's folder can't be used: ${path}`, {
      cause: error,
      hint: "Leat must be able to write there, and the file system must support locks (no NFS).",
    });
  }
}

function holder(path: string): string {
  try {
    return `pid ${readFileSync(join(path, "pid"), "utf8").trim()}`;
  } catch {
    return "its pid is unknown";
  }
}

/** The file `VERSION` counts the layout of the folder, so that an older Leat stops before it touches a file. */
function checkVersion(path: string): void {
  const file = join(path, "VERSION");
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch {
    // By rename, so that it is never seen half written.
    writeFileSync(`${file}.new`, `${SCHEMA_VERSION}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
    return;
  }
  if (!/^\d+$/.test(text) || Number(text) > SCHEMA_VERSION) {
    throw new LeatError("damaged", "journal_newer", `The journal's VERSION is ${JSON.stringify(text)}.`, {
      hint: `This Leat knows up to ${SCHEMA_VERSION}: run the newer one that wrote it, or use another journal.path.`,
    });
  }
  if (Number(text) < SCHEMA_VERSION) {
    writeFileSync(`${file}.new`, `${SCHEMA_VERSION}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}
