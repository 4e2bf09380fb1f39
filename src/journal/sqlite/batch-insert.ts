/**
 * Rows gathered into one INSERT of many: the call into SQLite costs more than the row. Rows are in the table after `flush`, not before.
 */
import type { SqlValue, Statement, Storage } from "./storage.ts";

/** More gains nothing measurable. */
const ROWS = 10;

export class BatchInsert {
  readonly #single: Statement;
  readonly #many: Statement;
  readonly #columns: number;
  /** Room for all rows, used again: grown anew for each, it would be copied four times. */
  readonly #values: SqlValue[];
  #at = 0;

  constructor(storage: Storage, table: string, columns: number) {
    this.#columns = columns;
    this.#values = Array(ROWS * columns).fill(null);
    const row = `(${Array(columns).fill("?").join(",")})`;
    this.#single = storage.prepare(`INSERT INTO ${table} VALUES ${row}`);
    this.#many = storage.prepare(`INSERT INTO ${table} VALUES ${Array(ROWS).fill(row).join(",")}`);
  }

  /** The next column of a row; behind the last one, `rowEnds`. */
  put(value: SqlValue): void {
    this.#values[this.#at++] = value;
  }

  rowEnds(): void {
    if (this.#at < this.#values.length) return;
    this.#many.run(...this.#values);
    this.clear();
  }

  flush(): void {
    for (let at = 0; at < this.#at; at += this.#columns) {
      this.#single.run(...this.#values.slice(at, at + this.#columns));
    }
    this.clear();
  }

  /** Forgets rows, also those that are not in the table yet: a large body would stay in memory with its row. */
  clear(): void {
    this.#values.fill(null, 0, this.#at);
    this.#at = 0;
  }
}
