/**
 * A disk that outlives processes: real SQLite in memory, with what a power loss may take. A relaxed commit is on disk
 * only with the next full one, so until then its transaction is kept open below and can still be undone; the calls that
 * come above see it as committed.
 */
import {
  type Checkpoint,
  type ListStatement,
  openStorage,
  type Row,
  type SqlValue,
  type Statement,
  type Storage,
} from "../../src/journal/sqlite/storage.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";

export class Disk implements Storage {
  /** Commits that are on disk, or are with the next full one. */
  commits = 0;
  readonly #real = openStorage({ file: ":memory:" });
  /** Relaxed commits that a power loss may take, each marked by a savepoint of its own. */
  #unsynced = 0;
  /** The transaction that is under way. */
  #mode: "full" | "relaxed" | null = null;
  /** It lies within another, of relaxed commits. */
  #nested = false;

  begin(mode?: "relaxed"): void {
    this.#mode = mode ?? "full";
    this.#nested = this.#unsynced > 0;
    if (!this.#nested) this.#real.begin();
    if (this.#nested || mode === "relaxed") this.#real.exec(`SAVEPOINT commit${this.#unsynced}`);
  }

  commit(): void {
    if (this.#mode === "relaxed") this.#unsynced++;
    else this.#sync();
    this.#mode = null;
    this.commits++;
  }

  rollback(): void {
    if (this.#mode === null) return;
    if (this.#nested) {
      const mark = `commit${this.#unsynced}`;
      this.#real.exec(`ROLLBACK TO ${mark}; RELEASE ${mark}`);
    } else this.#real.rollback();
    this.#mode = null;
  }

  /** The process ended: what it had committed is in the kernel's hands, and gets to the disk. */
  killed(): void {
    this.rollback();
    if (this.#unsynced > 0) this.#sync();
  }

  /** The power went: of the relaxed commits, the last ones may be gone. */
  powerLost(chance: SeededChance): void {
    this.rollback();
    if (this.#unsynced === 0) return;
    const kept = chance.below(this.#unsynced + 1);
    if (kept < this.#unsynced) this.#real.exec(`ROLLBACK TO commit${kept}`);
    this.#sync();
  }

  exec(sql: string): void {
    this.#real.exec(sql);
  }

  prepare(sql: string): Statement {
    return this.#real.prepare(sql);
  }

  prepareLists(sql: string): ListStatement {
    return this.#real.prepareLists(sql);
  }

  all(sql: string, ...values: SqlValue[]): Row[] {
    return this.#real.prepare(sql).all(...values);
  }

  checkpoint(mode: "NOOP" | "PASSIVE" | "TRUNCATE"): Checkpoint {
    // The log is synced before it is moved.
    if (mode !== "NOOP" && this.#unsynced > 0 && this.#mode === null) this.#sync();
    return { frames: 0, moved: 0 };
  }

  space(): { free: number; total: number } {
    return this.#real.space();
  }

  sizes(): { file: number; wal: number } {
    const pages = this.#real.prepare("PRAGMA page_count").get()?.page_count;
    return { file: Number(pages) * 16384, wal: 0 };
  }

  hasBallast(): boolean {
    return true;
  }

  createBallast(): void {}

  releaseBallast(): void {}

  /** Of a process that ended; the disk stays. */
  close(): void {}

  discard(): void {
    this.#real.rollback();
    this.#real.close();
  }

  #sync(): void {
    this.#real.commit();
    this.#unsynced = 0;
  }
}
