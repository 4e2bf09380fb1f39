/**
 * Ages across steps of the wall clock. A delivery's first attempt is known by the wall clock, since that outlives a
 * restart; a clock that is set while Leat runs must not make every delivery too old at once. What the wall clock gained
 * on the monotonic one between two looks is taken out of the ages that span it.
 *
 * A step while Leat isn't running can't be told from the time it was down, and counts.
 */
import type { Clock } from "../ports.ts";

/** What drifts less between two looks is slewing, not a step. */
const STEP_MS = 60_000;
/** Older steps are folded together: more than these within `max_age` are a broken clock. */
const KEPT = 100;

export class ClockSteps {
  readonly #clock: Clock;
  /** Times up to `until` are surely from before the step. */
  readonly #steps: { readonly until: number; readonly size: number }[] = [];
  #wall: number;
  #monotonic: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wall = clock.wall();
    this.#monotonic = clock.monotonic();
  }

  /** The wall clock's time; notices a step since the last call. */
  now(): number {
    const wall = this.#clock.wall();
    const monotonic = this.#clock.monotonic();
    const size = wall - this.#wall - (monotonic - this.#monotonic);
    if (Math.abs(size) > STEP_MS) {
      this.#steps.push({ until: Math.min(this.#wall, wall - 1), size });
      if (this.#steps.length > KEPT) this.#steps.shift();
    }
    this.#wall = wall;
    this.#monotonic = monotonic;
    return wall;
  }

  /** Milliseconds since `at`, a time by the wall clock that `now` gave. Never negative. */
  since(at: number): number {
    let age = this.now() - at;
    // A time that a step back made ambiguous is taken for the later one: it only comes out younger.
    for (const step of this.#steps) if (at <= step.until) age -= step.size;
    return Math.max(0, age);
  }
}
