/** Tells appends that have waited longer than `limits.commit_wait` that their outcome is unknown. One timer for all. */
import { type Clock, STOOD_STILL_MS } from "../../ports.ts";
import type { Batch } from "./batch.ts";
import { slowError } from "./commit-errors.ts";

export class Overdue {
  readonly #clock: Clock;
  readonly #limitMs: () => number;
  readonly #batches: () => readonly Batch[];
  #watching = false;

  /** `batches`: all in which an append may wait. */
  constructor(clock: Clock, limitMs: () => number, batches: () => readonly Batch[]) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#batches = batches;
  }

  /** An append waits. */
  watch(): void {
    if (this.#watching) return;
    this.#watching = true;
    this.#lookIn(this.#limitMs());
  }

  /** `putOff`: once already. A process that stands still again and again is one that is slow. */
  #lookIn(ms: number, putOff = false): void {
    const dueAt = this.#clock.monotonic() + ms;
    this.#clock.after(ms, () => {
      // The whole process stood still: the writer's answers may lie there unread.
      if (!putOff && this.#clock.monotonic() - dueAt > STOOD_STILL_MS) this.#lookIn(STOOD_STILL_MS, true);
      else this.#look();
    });
  }

  #look(): void {
    const limit = this.#limitMs();
    const overdue = this.#clock.monotonic() - limit;
    let next: number | null = null;
    for (const batch of this.#batches()) {
      const since = batch.rejectOlderThan(overdue, slowError);
      if (since !== null && (next === null || since < next)) next = since;
    }
    if (next === null) this.#watching = false;
    else this.#lookIn(Math.max(1, next + limit - this.#clock.monotonic()));
  }
}
