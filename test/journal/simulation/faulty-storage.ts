/**
 * Stands between the writer and real SQLite: counts every call and makes the Nth one fail, before or (at a commit) after
 * it was done.
 */
import type {
  Checkpoint,
  ListStatement,
  Row,
  SqlValue,
  Statement,
  Storage,
} from "../../../src/journal/sqlite/storage.ts";
import type { SeededChance } from "./chance.ts";

/**
 * - `full`: no space; the transaction is gone.
 * - `io`: an I/O error.
 * - `crash`: the process ends here; every later call fails too.
 * - `defect`: an error that is neither.
 */
export type Fault = "full" | "io" | "crash" | "defect";

export class FaultyStorage implements Storage {
  /** The process is dead: what it does from here on has no effect. */
  crashed = false;
  /** What struck, each once: a disk that is full for many calls too. */
  readonly struck: Fault[] = [];
  /** Called so many times since it was made. */
  calls = 0;
  /** Free space as `space` reports it. */
  free = 10 * 2 ** 30;
  readonly #real: Storage;
  readonly #chance: SeededChance;
  #faultAt = Number.POSITIVE_INFINITY;
  #fault: Fault = "crash";
  /** Every call that writes fails for want of space until it is 0. */
  #fullFor = 0;
  #times = 1;

  constructor(real: Storage, chance: SeededChance) {
    this.#real = real;
    this.#chance = chance;
  }

  /** The call `calls` from now on fails; a full disk stays full for `times` writing calls. */
  failAfter(calls: number, fault: Fault, times = 1): void {
    this.#faultAt = this.calls + calls;
    this.#fault = fault;
    this.#times = times;
  }

  heal(): void {
    this.#faultAt = Number.POSITIVE_INFINITY;
    this.#fullFor = 0;
  }

  exec(sql: string): void {
    this.#call(() => this.#real.exec(sql));
  }

  prepare(sql: string): Statement {
    const statement = this.#real.prepare(sql);
    return {
      run: (...values: SqlValue[]) => this.#call(() => statement.run(...values)),
      get: (...values: SqlValue[]): Row | undefined => this.#call(() => statement.get(...values)),
      all: (...values: SqlValue[]): Row[] => this.#call(() => statement.all(...values)),
    };
  }

  prepareLists(sql: string): ListStatement {
    const statement = this.#real.prepareLists(sql);
    return { all: (...values) => this.#call(() => statement.all(...values)) };
  }

  begin(mode?: "relaxed"): void {
    this.#call(() => this.#real.begin(mode));
  }

  commit(): void {
    this.#call(() => this.#real.commit(), true);
  }

  rollback(): void {
    if (!this.crashed) this.#real.rollback();
  }

  checkpoint(): Checkpoint {
    return { frames: 0, moved: 0 };
  }

  space(): { free: number; total: number } {
    return { free: this.#fullFor > 0 ? 0 : this.free, total: 100 * 2 ** 30 };
  }

  sizes(): { file: number; wal: number } {
    return { file: 0, wal: 0 };
  }

  hasBallast(): boolean {
    return true;
  }

  createBallast(): void {}

  releaseBallast(): void {}

  close(): void {}

  #call<T>(work: () => T, isCommit = false): T {
    if (this.crashed) throw new Error("this process is dead");
    this.calls++;
    if (this.#fullFor > 0) {
      this.#fullFor--;
      throw this.#error("full");
    }
    if (this.calls < this.#faultAt) return work();
    this.#faultAt = Number.POSITIVE_INFINITY;
    const fault = this.#fault;
    this.struck.push(fault);
    // What a commit was doing when the power went is on disk, or isn't.
    if (isCommit && (fault === "crash" || fault === "io") && this.#chance.odds(0.5)) work();
    if (fault === "full") this.#fullFor = this.#times - 1;
    if (fault === "crash") this.crashed = true;
    throw this.#error(fault);
  }

  #error(fault: Fault): Error {
    const errcode = { full: 13, io: 10 | (4 << 8), crash: undefined, defect: 1 }[fault];
    // As SQLite does by itself when the disk is full.
    if (fault === "full") this.#real.rollback();
    const error = new Error(`simulated: ${fault}`);
    return errcode === undefined ? error : Object.assign(error, { code: "ERR_SQLITE_ERROR", errcode });
  }
}
