/** The machine's clock as one process has it: with the process end its timers, and what is left of it sets no new ones. */
import type { Clock } from "../../src/ports.ts";
import type { SimulatedClock } from "../journal/simulation/simulated-clock.ts";

export class ProcessClock implements Clock {
  readonly #machine: SimulatedClock;
  #ended = false;

  constructor(machine: SimulatedClock) {
    this.#machine = machine;
  }

  wall(): number {
    return this.#machine.wall();
  }

  monotonic(): number {
    return this.#machine.monotonic();
  }

  after(ms: number, callback: () => void): () => void {
    if (this.#ended) return () => {};
    return this.#machine.after(Math.max(0, ms), () => {
      if (!this.#ended) callback();
    });
  }

  end(): void {
    this.#ended = true;
  }
}
