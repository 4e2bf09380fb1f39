/** One timer for all readers of a stream: each is visited once a period, spread over the wheel's slots. */
import type { Clock } from "../../ports.ts";

const SLOTS = 16;

export class Wheel<T> {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #visit: (item: T) => void;
  readonly #slots: readonly Set<T>[] = Array.from({ length: SLOTS }, () => new Set<T>());
  readonly #slotOf = new Map<T, Set<T>>();
  #next = 0;
  #now = 0;
  #cancel: (() => void) | null = null;

  constructor(clock: Clock, periodMs: number, visit: (item: T) => void) {
    this.#clock = clock;
    this.#tickMs = periodMs / SLOTS;
    this.#visit = visit;
  }

  /** Its first visit comes within a period. */
  add(item: T): void {
    const slot = this.#slots[this.#next] as Set<T>;
    this.#next = (this.#next + 1) % SLOTS;
    slot.add(item);
    this.#slotOf.set(item, slot);
    this.#cancel ??= this.#clock.after(this.#tickMs, this.#tick);
  }

  delete(item: T): void {
    this.#slotOf.get(item)?.delete(item);
    this.#slotOf.delete(item);
    if (this.#slotOf.size > 0) return;
    this.#cancel?.();
    this.#cancel = null;
  }

  readonly #tick = () => {
    this.#now = (this.#now + 1) % SLOTS;
    this.#cancel = this.#clock.after(this.#tickMs, this.#tick);
    for (const item of this.#slots[this.#now] as Set<T>) this.#visit(item);
  };
}
