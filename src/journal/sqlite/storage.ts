/**
 * The storage port: all that the journal asks of the disk. A thin synchronous interface over `node:sqlite`, so that a
 * simulation can stand between it and the real thing and fail every Nth call (disk full, I/O error, crash).
 *
 * Everything the writer does to `journal.db` goes through one `Storage`. Readers have one of their own, read-only.
 */
import { randomFillSync } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export type SqlValue = null | number | bigint | string | Uint8Array;
export type Row = Record<string, SqlValue>;

export interface Statement {
  run(...values: SqlValue[]): { readonly changes: number | bigint };
  get(...values: SqlValue[]): Row | undefined;
  all(...values: SqlValue[]): Row[];
}

/** For reading many rows: each comes as a list of its columns, which costs half of what an object does. */
export interface ListStatement {
  all(...values: SqlValue[]): SqlValue[][];
}

export interface Checkpoint {
  /** Frames in the WAL, and how many of them are in the database file by now; equal when nothing is left. */
  readonly frames: number;
  readonly moved: number;
}

export interface Storage {
  /** Statements without parameters or results. */
  exec(sql: string): void;
  /** Prepare once, run often. */
  prepare(sql: string): Statement;
  prepareLists(sql: string): ListStatement;
  /**
   * Starts a write transaction. A `relaxed` one is committed without waiting for the disk, and made durable by the next
   * full commit: for what may be undone by a power loss (deleting what is past its time), never for what was promised.
   */
  begin(mode?: "relaxed"): void;
  /** On disk when it returns, unless the transaction is relaxed. */
  commit(): void;
  /** Ends the transaction if SQLite has not already done so itself (as it does when the disk is full). Never throws. */
  rollback(): void;
  /** `NOOP` moves nothing and only counts. */
  checkpoint(mode: "NOOP" | "PASSIVE" | "TRUNCATE"): Checkpoint;
  /**
   * Free and total bytes of the file system, as an unprivileged process sees them. Not free is what the database will
   * grow by when the WAL is moved into it: without that room the WAL could never be given back.
   */
  space(): { readonly free: number; readonly total: number };
  /** Sizes of the database file and of its WAL. */
  sizes(): { readonly file: number; readonly wal: number };
  /**
   * A file of random bytes beside the database, freed when the disk is full so that retention can commit.
   * Creating it when it exists, and releasing it when it doesn't, do nothing.
   */
  hasBallast(bytes: number): boolean;
  createBallast(bytes: number): void;
  releaseBallast(): void;
  close(): void;
}

export interface OpenStorage {
  /** The database file; `:memory:` for tests (no ballast, no sizes). */
  readonly file: string;
  readonly readOnly?: boolean;
}

/**
 * Of a page in a new file. A commit writes whole pages: at 30 events of 1 KB each smaller ones cost fewer bytes, while
 * at hundreds of events, or with large ones, larger pages cost fewer calls.
 */
export const PAGE_BYTES = 8192;

/**
 * So many relaxed commits may follow on each other; the next one is full. So it is known how many a power loss may take,
 * and what it can't have taken is damage (wal-check.ts).
 */
export const MOST_RELAXED = 8;

const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** The WAL's shared-memory file could not grow: in practice the disk is full, and nothing was written yet. */
const SQLITE_IOERR_SHMSIZE = SQLITE_IOERR | (19 << 8);
/** Of an I/O error, those of the WAL's shared memory: SHMOPEN, SHMSIZE, SHMLOCK, SHMMAP. */
const SHARED_MEMORY = new Set([18, 19, 20, 21]);
/** I/O error, damaged, not a database, read-only, can't open, no memory: the file can't be trusted to take a commit. */
const LOST = new Set([SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB, 8, 14, 7]);

/**
 * What a failed call means. `full`: nothing is lost, try again when there is room. `storage`: what was written may or
 * may not be on disk, and the kernel may have dropped dirty pages; never retry the commit (fsyncgate). Null: a defect.
 */
export function storageFailure(error: unknown): "full" | "storage" | null {
  if (!(error instanceof Error)) return null;
  if ("errcode" in error && typeof error.errcode === "number") {
    if (error.errcode === SQLITE_FULL || error.errcode === SQLITE_IOERR_SHMSIZE) return "full";
    return LOST.has(error.errcode & 0xff) ? "storage" : null;
  }
  if ("code" in error && typeof error.code === "string") {
    if (error.code === "ENOSPC" || error.code === "EDQUOT") return "full";
    if (error.code === "EIO" || error.code === "EROFS") return "storage";
  }
  return null;
}

/** The file is no database, or a damaged one (as opposed to a disk that doesn't answer). */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
  const code = error.errcode & 0xff;
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/**
 * The file may not be as it was written. Not so where it can't be opened or reached now: no file descriptor left, no
 * memory, no room to share some, a file system mounted read-only.
 */
export function isSuspect(error: unknown): boolean {
  if (isDamage(error)) return true;
  const code = error instanceof Error && "errcode" in error ? Number(error.errcode) : 0;
  return (code & 0xff) === SQLITE_IOERR && !SHARED_MEMORY.has(code >> 8);
}

export function openStorage(options: OpenStorage): Storage {
  return new SqliteStorage(options);
}

class SqliteStorage implements Storage {
  readonly #db: DatabaseSync;
  readonly #file: string;
  #relaxed = false;
  #relaxedInARow = 0;
  readonly #checkpoints = new Map<string, Statement>();
  readonly #pageCount: Statement;
  readonly #pageBytes: number;

  constructor({ file, readOnly = false }: OpenStorage) {
    this.#file = file;
    // Readers wait for nothing in WAL mode; the time-out only covers recovery after a crash, by whoever opens first.
    this.#db = new DatabaseSync(file, { readOnly, timeout: 5000 });
    this.#db.enableDefensive(true);
    this.#db.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY");
    if (readOnly) this.#db.exec("PRAGMA query_only = ON");
    else {
      // Only in a new file: in an old one they would change nothing but its header.
      if (Number(this.#db.prepare("PRAGMA page_count").get()?.page_count) === 0) {
        this.#db.exec(
          `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL`,
        );
      }
      // The WAL's own checkpoints are off: `checkpoint` is called when nobody waits for a commit.
      this.#db.exec(`PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;
        PRAGMA cache_size = -32768`);
      // On macOS a plain fsync leaves the bytes in the drive's cache.
      if (process.platform === "darwin") {
        this.#db.exec("PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON");
      }
    }
    this.#pageCount = this.#db.prepare("PRAGMA page_count");
    this.#pageBytes = Number(this.#db.prepare("PRAGMA page_size").get()?.page_size);
  }

  exec(sql: string): void {
    this.#db.exec(sql);
  }

  prepare(sql: string): Statement {
    return this.#db.prepare(sql);
  }

  prepareLists(sql: string): ListStatement {
    const statement = this.#db.prepare(sql);
    statement.setReturnArrays(true);
    return { all: (...values) => statement.all(...values) as unknown as SqlValue[][] };
  }

  begin(mode?: "relaxed"): void {
    const relaxed = mode === "relaxed" && this.#relaxedInARow < MOST_RELAXED;
    this.#relaxedInARow = relaxed ? this.#relaxedInARow + 1 : 0;
    if (relaxed !== this.#relaxed) {
      this.#db.exec(relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL");
      this.#relaxed = relaxed;
    }
    this.#db.exec("BEGIN IMMEDIATE");
  }

  commit(): void {
    this.#db.exec("COMMIT");
  }

  rollback(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
    } catch {
      // SQLite ended the transaction by itself; there is nothing more to undo.
    }
  }

  checkpoint(mode: "NOOP" | "PASSIVE" | "TRUNCATE"): Checkpoint {
    let statement = this.#checkpoints.get(mode);
    if (statement === undefined) {
      statement = this.#db.prepare(`PRAGMA wal_checkpoint(${mode})`);
      this.#checkpoints.set(mode, statement);
    }
    const row = statement.get();
    return { frames: Number(row?.log ?? 0), moved: Number(row?.checkpointed ?? 0) };
  }

  space(): { free: number; total: number } {
    if (this.#file === ":memory:") return { free: Number.MAX_SAFE_INTEGER, total: Number.MAX_SAFE_INTEGER };
    const stats = statfsSync(dirname(this.#file));
    const pages = Number(this.#pageCount.get()?.page_count ?? 0);
    const growth = Math.max(0, pages * this.#pageBytes - this.sizes().file);
    return { free: Math.max(0, stats.bavail * stats.bsize - growth), total: stats.blocks * stats.bsize };
  }

  sizes(): { file: number; wal: number } {
    // stat only: opening and closing the file would drop SQLite's POSIX locks on it.
    const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    return { file: size(this.#file), wal: size(`${this.#file}-wal`) };
  }

  hasBallast(bytes: number): boolean {
    if (this.#file === ":memory:") return true;
    return (statSync(this.#ballast(), { throwIfNoEntry: false })?.size ?? 0) >= bytes;
  }

  createBallast(bytes: number): void {
    if (this.hasBallast(bytes)) return;
    const path = this.#ballast();
    const chunk = Buffer.allocUnsafe(Math.min(bytes, 1 << 20));
    const fd = openSync(path, "w", 0o600);
    try {
      for (let left = bytes; left > 0; left -= chunk.length) {
        // Random, and anew for every chunk, so that no file system stores less than it says.
        randomFillSync(chunk);
        writeSync(fd, chunk, 0, Math.min(left, chunk.length));
      }
      fsyncSync(fd);
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  releaseBallast(): void {
    if (this.#file !== ":memory:") rmSync(this.#ballast(), { force: true });
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
  }

  #ballast(): string {
    return join(dirname(this.#file), "ballast");
  }
}
