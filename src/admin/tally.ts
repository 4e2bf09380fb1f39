/** A counter that every event adds to: prom-client is told of it when somebody asks, not each time. */
import type { Counter } from "prom-client";

export class Tally {
  readonly #counter: Counter.Internal;
  #untold = 0;

  constructor(counter: Counter.Internal) {
    this.#counter = counter;
  }

  add(): void {
    this.#untold++;
  }

  tell(): void {
    this.#counter.inc(this.#untold);
    this.#untold = 0;
  }
}
