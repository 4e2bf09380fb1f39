/**
 * Refusals on their way into the journal: coalesced by (source, reason, address) and slowed to ten rows a second, so that
 * a flood of forged requests can't become a flood of writes. The writer keeps the last 10,000 rows.
 */
import type { NewRefusal } from "../../component.ts";
import type { Clock } from "../../ports.ts";
import type { Group } from "./group.ts";

export type RefusalRow = Group["refusals"][number];

const ROWS_PER_SECOND = 10;
/** Waiting rows at most: beyond it a refusal is only counted, in its source's and reason's row without an address. */
const WAITING = 1000;
const BODY_BYTES = 1024;

export class RefusalQueue {
  readonly #clock: Clock;
  #rows = new Map<string, RefusalRow>();
  /** Rows that may still go into groups; refilled with time. */
  #allowance = ROWS_PER_SECOND;
  #refilled: number;
  /** Called when rows wait and may go. */
  onWaiting: (() => void) | null = null;
  #timer = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#refilled = clock.monotonic();
  }

  /** Never fails, never waits. */
  refuse(refusal: NewRefusal): void {
    const { source, reason } = refusal;
    let { address } = refusal;
    if (this.#rows.size >= WAITING && !this.#rows.has(`${source}\n${reason}\n${address}`)) address = "";
    const name = `${source}\n${reason}\n${address}`;
    const row = this.#rows.get(name);
    const body = refusal.body === null ? null : new Uint8Array(refusal.body.subarray(0, BODY_BYTES));
    this.#rows.set(
      name,
      row === undefined
        ? { ...refusal, address, body, at: this.#clock.wall(), count: 1 }
        : { ...row, count: row.count + 1 },
    );
    this.#wake();
  }

  /** Rows wait and may go now. */
  get waiting(): boolean {
    this.#refill();
    return this.#rows.size > 0 && this.#allowance >= 1;
  }

  /** The rows that may go now, oldest first. */
  take(): RefusalRow[] {
    this.#refill();
    const taken: RefusalRow[] = [];
    for (const [name, row] of this.#rows) {
      if (this.#allowance < 1) break;
      this.#allowance--;
      taken.push(row);
      this.#rows.delete(name);
    }
    if (this.#rows.size > 0) this.#wake();
    return taken;
  }

  /** They could not be committed. */
  restore(rows: readonly RefusalRow[]): void {
    const later = this.#rows;
    this.#rows = new Map();
    for (const row of [...rows, ...later.values()]) {
      const name = `${row.source}\n${row.reason}\n${row.address}`;
      const known = this.#rows.get(name);
      this.#rows.set(name, known === undefined ? row : { ...known, count: known.count + row.count });
    }
    this.#allowance += rows.length;
  }

  #refill(): void {
    const now = this.#clock.monotonic();
    const seconds = (now - this.#refilled) / 1000;
    this.#allowance = Math.min(ROWS_PER_SECOND, this.#allowance + seconds * ROWS_PER_SECOND);
    this.#refilled = now;
  }

  #wake(): void {
    if (this.waiting) this.onWaiting?.();
    else if (!this.#timer && this.#rows.size > 0) {
      this.#timer = true;
      this.#clock.after(1000 / ROWS_PER_SECOND, () => {
        this.#timer = false;
        this.#wake();
      });
    }
  }
}
