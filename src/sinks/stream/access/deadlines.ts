/** When each of many things is due, to the second, by one timer for all of them: ten thousand readers expire one by one. */
import type { Clock } from "../../../ports.ts";

const TICK_MS = 1000;

export class Deadlines<T> {
  readonly #clock: Clock;
  readonly #visit: (item: T) => void;
  /** By the tick at which they are due; an item is in one at most. */
  readonly #due = new Map<number, Set<T>>();
  readonly #tickOf = new Map<T, number>();
  #cancel: (() => void) | null = null;

  /** `visit` is called once for an item that is due, which is then forgotten. */
  constructor(clock: Clock, visit: (item: T) => void) {
    this.#clock = clock;
    this.#visit = visit;
  }

  /** Due in `ms`, up to a second later; replaces what the item was due at. */
  set(item: T, ms: number): void {
    this.delete(item);
    const tick = Math.ceil((this.#clock.monotonic() + Math.max(0, ms)) / TICK_MS);
    const items = this.#due.get(tick);
    if (items) items.add(item);
    else this.#due.set(tick, new Set([item]));
    this.#tickOf.set(item, tick);
    this.#cancel ??= this.#clock.after(TICK_MS, this.#look);
  }

  delete(item: T): void {
    const tick = this.#tickOf.get(item);
    if (tick === undefined) return;
    this.#tickOf.delete(item);
    const items = this.#due.get(tick) as Set<T>;
    items.delete(item);
    if (items.size === 0) this.#due.delete(tick);
    if (this.#tickOf.size > 0) return;
    this.#cancel?.();
    this.#cancel = null;
  }

  readonly #look = () => {
    this.#cancel = null;
    const now = this.#clock.monotonic() / TICK_MS;
    const items = [...this.#due].filter(([tick]) => tick <= now).flatMap(([, due]) => [...due]);
    for (const item of items) this.delete(item);
    if (this.#tickOf.size > 0) this.#cancel ??= this.#clock.after(TICK_MS, this.#look);
    for (const item of items) this.#visit(item);
  };
}
