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
  #values: SqlValue[] = [];

  constructor(storage: Storage, table: string, columns: number) {
    this.#columns = columns;
    const row = `(${Array(columns).fill("?").join(",")})`;
    this.#single = storage.prepare(`INSERT INTO ${table} VALUES ${row}`);
    this.#many = storage.prepare(`INSERT INTO ${table} VALUES ${Array(ROWS).fill(row).join(",")}`);
  }

  /** The caller pushes exactly one row's values, then calls `pushed`. */
  get values(): SqlValue[] {
    return this.#values;
  }

  pushed(): void {
    if (this.#values.length === ROWS * this.#columns) {
      this.#many.run(...this.#values);
      this.#values = [];
    }
  }

  flush(): void {
    for (let at = 0; at < this.#values.length; at += this.#columns) {
      this.#single.run(...this.#values.slice(at, at + this.#columns));
    }
    this.#values = [];
  }

  /** Forgets rows that are not in the table yet. */
  clear(): void {
    this.#values = [];
  }
}
