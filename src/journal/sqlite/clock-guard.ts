/**
 * Can the wall clock be trusted for deleting and expiring by age? Not while it has drifted from the monotonic clock by
 * over a minute since it was last looked at as good, nor after a start that finds it over an hour from the last commit
 * with no downtime to explain it. Trust comes back when a person confirms the clock, or after ten minutes in which it
 * behaved.
 */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import type { Clock } from "../../ports.ts";

const STEP_MS = 60_000;
const JUMP_MS = 3_600_000;
const WAIT_MS = 600_000;

/** Written to the journal now and then, so that the next start can compare. */
export interface ClockMark {
  readonly wall: number;
  /** Milliseconds since the machine booted, and which boot: on the same boot downtime is known exactly. */
  readonly uptime: number;
  readonly boot: string;
}

export function clockMark(wall: number): ClockMark {
  return { wall, uptime: uptime() * 1000, boot: bootId() };
}

/** Linux has one for each boot; elsewhere every start counts as a new boot. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

/** Whether a start at `present` is explained by the last mark and the downtime since. */
export function explained(last: ClockMark, present: ClockMark): boolean {
  if (last.boot !== "" && last.boot === present.boot) {
    const elapsed = present.uptime - last.uptime;
    return Math.abs(present.wall - last.wall - elapsed) <= JUMP_MS;
  }
  // Another boot: how long the machine was off nobody knows, so only a short step forward is beyond doubt.
  const elapsed = present.wall - last.wall;
  return elapsed >= -STEP_MS && elapsed <= present.uptime + JUMP_MS;
}

export class ClockGuard {
  readonly #clock: Clock;
  /** Wall minus monotonic when it was last good. */
  #offset: number;
  /** Monotonic time until which it isn't trusted. */
  #until: number;

  constructor(clock: Clock, trusted: boolean) {
    this.#clock = clock;
    this.#offset = clock.wall() - clock.monotonic();
    this.#until = trusted ? Number.NEGATIVE_INFINITY : clock.monotonic() + WAIT_MS;
  }

  /** Cheap; notices a step by being asked. */
  trusted(): boolean {
    const monotonic = this.#clock.monotonic();
    const offset = this.#clock.wall() - monotonic;
    if (Math.abs(offset - this.#offset) > STEP_MS) {
      this.#offset = offset;
      this.#until = monotonic + WAIT_MS;
    } else if (monotonic >= this.#until) {
      // Slow drift (NTP slewing) is followed, so that only a step counts.
      this.#offset = offset;
    }
    return monotonic >= this.#until;
  }

  /** A person says that the present time is right. */
  confirm(): void {
    this.#offset = this.#clock.wall() - this.#clock.monotonic();
    this.#until = Number.NEGATIVE_INFINITY;
  }
}
