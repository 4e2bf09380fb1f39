/** Time that only passes when told to. */
import type { Clock } from "../../../src/ports.ts";

interface Timer {
  readonly at: number;
  readonly callback: () => void;
}

export class SimulatedClock implements Clock {
  #now = 1000;
  #offset: number;
  #timers: Timer[] = [];

  constructor(wall = 1_800_000_000_000) {
    this.#offset = wall - this.#now;
  }

  wall(): number {
    return Math.round(this.#now + this.#offset);
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  /** Lets time pass, calling what is due in the order of its time. */
  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.#now = Math.max(this.#now, due.at);
      due.callback();
    }
    this.#now = end;
  }

  /** The wall clock is set. */
  step(ms: number): void {
    this.#offset += ms;
  }

  /** The process is gone, and its timers with it. */
  forget(): void {
    this.#timers = [];
  }
}
