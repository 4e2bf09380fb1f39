/** A seeded generator (mulberry32): the same seed makes the same run. */
import type { Chance } from "../../../src/ports.ts";

export class SeededChance implements Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number below `end`. */
  below(end: number): number {
    return Math.floor(this.random() * end);
  }

  /** True so often. */
  odds(share: number): boolean {
    return this.random() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}
