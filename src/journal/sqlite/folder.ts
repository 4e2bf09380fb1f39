/**
 * The journal's folder: for its owner's eyes only, held by one process at a time, and marked with the version of its layout.
 *
 * The lock is an exclusive transaction that is held on `lock.db`: refused at once to a second process, and freed by the
 * kernel when its holder ends, however it ends. The pid beside it is only shown: it is 1 in every container.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { LeatError } from "../../errors.ts";
import type { Logger } from "../../ports.ts";
import { markBoot } from "./boot.ts";
import { createPrivate } from "./check.ts";
import { SCHEMA_VERSION } from "./schema.ts";
import { isDamage, storageFailure } from "./storage.ts";

const SQLITE_BUSY = 5;

/** What holds, or may hold, what senders sent. */
const DATABASES = ["journal.db", "streams.db", "lock.db"];
const PRIVATE = [
  "VERSION",
  "boot",
  "doubt",
  "ballast",
  ...DATABASES.flatMap((name) => [name, `${name}-wal`, `${name}-shm`]),
];

export interface Folder {
  readonly path: string;
  file(name: "journal.db" | "search.db" | "streams.db"): string;
  /**
   * The journal is open: writes `VERSION`, which says to a later start that there was one, and `boot` (boot.ts).
   * Throws LeatError `storage` `journal_path`.
   */
  begun(): void;
  /** Lets another process in. */
  release(): void;
}

/**
 * Throws LeatError `damaged` (`journal_locked`, `journal_newer`, `journal_damaged`), `configuration` or `storage`
 * (`journal_path`).
 */
export function openFolder(path: string, log: Logger): Folder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new LeatError("configuration", "journal_path", `The journal's folder can't be made: ${path}`, {
      cause: error,
      hint: "journal.path must be a folder that Leat may write to.",
    });
  }
  makePrivate(path, log);
  const lock = takeLock(path);
  let version: number | null;
  try {
    version = readVersion(path);
    usable(path, () => showPid(path));
  } catch (error) {
    lock.close();
    throw error;
  }
  return {
    path,
    file: (name) => join(path, name),
    begun() {
      markBoot(path);
      if (version === SCHEMA_VERSION) return;
      usable(path, () => writeVersion(path));
      version = SCHEMA_VERSION;
    },
    release() {
      rmSync(join(path, "pid"), { force: true });
      lock.close();
    },
  };
}

/** A folder that was there before may let others in, and so may what is in it. */
function makePrivate(path: string, log: Logger): void {
  for (const [file, mode] of [[path, 0o700], ...PRIVATE.map((name) => [join(path, name), 0o600])] as [
    string,
    number,
  ][]) {
    const now = statSync(file, { throwIfNoEntry: false });
    if (now === undefined || (now.mode & 0o077) === 0) continue;
    try {
      chmodSync(file, mode);
    } catch (err) {
      log.warn(
        { err, file },
        "others may be able to read this part of the journal, and that can't be changed",
      );
    }
  }
}

function showPid(path: string): void {
  try {
    writeFileSync(join(path, "pid"), `${process.pid}\n`, { mode: 0o600 });
  } catch (error) {
    // On a full disk it is left out: a journal must be able to start there.
    if (storageFailure(error) !== "full") throw error;
  }
}

function takeLock(path: string): DatabaseSync {
  const file = join(path, "lock.db");
  let lock: DatabaseSync | null = null;
  try {
    createPrivate(file);
    lock = new DatabaseSync(file, { timeout: 0 });
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
    if (isDamage(error)) {
      throw new LeatError("damaged", "journal_damaged", `The journal's lock file is damaged: ${file}`, {
        hint: "It holds no events: delete it and start again. Check the disk, and the other files of the folder.",
        cause: error,
      });
    }
    throw unusable(path, error);
  }
}

function usable(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw unusable(path, error);
  }
}

function unusable(path: string, cause: unknown): LeatError {
  return new LeatError("storage", "journal_path", `The journal's folder can't be used: ${path}`, {
    cause,
    hint: "Leat must be able to write there, and the file system must support locks (no NFS).",
  });
}

function holder(path: string): string {
  try {
    return `pid ${readFileSync(join(path, "pid"), "utf8").trim()}`;
  } catch {
    return "its pid is unknown";
  }
}

/**
 * The file `VERSION` counts the layout of the folder, so that an older Leat stops before it touches a file. Null: there
 * is none yet.
 */
function readVersion(path: string): number | null {
  const file = join(path, "VERSION");
  let text: string;
  try {
    text = readFileSync(file, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw unusable(path, error);
  }
  if (!/^\d{1,9}$/.test(text)) {
    throw new LeatError("damaged", "journal_damaged", `The journal's VERSION is damaged: ${file}`, {
      hint:
        "Nothing was changed. Check the other files of the folder against a backup; if journal.db is whole, delete " +
        "VERSION: it is written again from it.",
    });
  }
  if (Number(text) > SCHEMA_VERSION) {
    throw new LeatError("damaged", "journal_newer", `The journal's VERSION is ${text}.`, {
      hint: `This Leat knows up to ${SCHEMA_VERSION}: run the newer one that wrote it, or use another journal.path.`,
    });
  }
  return Number(text);
}

/** By rename, and on disk before it, so that it is never seen half written. */
function writeVersion(path: string): void {
  const file = join(path, "VERSION");
  const fd = openSync(`${file}.new`, "w", 0o600);
  try {
    writeFileSync(fd, `${SCHEMA_VERSION}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.new`, file);
}
