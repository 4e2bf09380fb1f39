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
    while (this.fire(end));
  }

  /** Calls the first that is due by `end`; false: nothing is, and it is `end` now. */
  fire(end: number): boolean {
    let next: Timer | null = null;
    for (const timer of this.#timers)
      if (timer.at <= end && (next === null || timer.at < next.at)) next = timer;
    if (next === null) {
      this.#now = end;
      return false;
    }
    this.#timers = this.#timers.filter((one) => one !== next);
    this.#now = Math.max(this.#now, next.at);
    next.callback();
    return true;
  }

  /** Time passes while the process stands still: what was due meanwhile is late at once. */
  standStill(ms: number): void {
    this.#now += ms;
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
