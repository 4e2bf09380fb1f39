/**
 * What a sink's receiver has shown, and what follows: whether anything may go to it now.
 *
 * - A pause (by a person, or a 410) lets nothing through until a person resumes it.
 * - A hold (429 with Retry-After) and an open breaker let nothing through until their time, and then one delivery at a
 *   time as a probe, until the receiver has shown life.
 *
 * All three are kept in the journal (J7). Deadlines count on the monotonic clock; what comes back from the journal is
 * cut to the wait that was set, so that a stepped clock can't stretch it.
 */
import type { Report } from "../component.ts";
import type { SinkState } from "../journal/journal.ts";
import type { SinkPolicy } from "../plan.ts";
import type { Clock, Logger } from "../ports.ts";
import { type Breaker, breakerAfter, CLOSED, signOf } from "./breaker.ts";
import { grantedWait } from "./retry.ts";

/** Where the sink's durable state is kept: the ledger. */
export interface SinkStateStore {
  sinkState(sink: string): SinkState;
  setSinkState(sink: string, state: SinkState): void;
}

/** What an attempt did to the breaker, with the failures in a row that led to it. */
export interface BreakerChange {
  readonly state: "open" | "closed";
  readonly failures: number;
}

export interface GuardStatus {
  readonly paused: string | null;
  /** Milliseconds until the hold's end; null when there is none. */
  readonly heldMs: number | null;
  readonly breaker: "closed" | "open" | "probing";
}

export class Guard {
  readonly #sink: string;
  readonly #store: SinkStateStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  #paused: string | null;
  #breaker: Breaker = CLOSED;
  #openUntil = 0;
  /** Past it, and until there was a sign, one event probes; null when there is no hold. */
  #heldUntil: number | null = null;

  constructor(sink: string, store: SinkStateStore, clock: Clock, log: Logger) {
    this.#sink = sink;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
    const now = clock.monotonic();
    const { hold, paused, breaker } = store.sinkState(sink);
    const left = (until: number, most: number) => Math.min(Math.max(until - clock.wall(), 0), most);
    this.#paused = paused;
    if (hold !== null) this.#heldUntil = now + left(hold.until, hold.ms);
    if (breaker !== null) {
      this.#breaker = { failures: breaker.failures, waitMs: breaker.waitMs };
      this.#openUntil = now + left(breaker.openUntil, breaker.waitMs);
    }
  }

  /** Milliseconds until something may go; Infinity while paused. */
  waitMs(now: number): number {
    if (this.#paused !== null) return Number.POSITIVE_INFINITY;
    const held = this.#heldUntil === null ? 0 : this.#heldUntil - now;
    const open = this.#open ? this.#openUntil - now : 0;
    return Math.max(0, held, open);
  }

  /** At most one may go at a time, as a probe. */
  get probes(): boolean {
    return this.#heldUntil !== null || this.#open;
  }

  get #open(): boolean {
    return this.#breaker.waitMs !== null;
  }

  /** Takes in what an attempt showed. */
  learn(report: Report, probe: boolean, policy: SinkPolicy): BreakerChange | null {
    const sign = signOf(report);
    if (sign === null) return null;
    const before = this.#breaker;
    const now = this.#clock.monotonic();
    this.#breaker = breakerAfter(before, sign, probe, policy.breaker);
    const turned = before !== this.#breaker && (before.waitMs !== null || this.#open);
    if (turned && this.#breaker.waitMs !== null) this.#openUntil = now + this.#breaker.waitMs;
    const held = this.#learnHold(report, probe, now, policy);
    const gone = this.#learnGone(report);
    if (turned || held || gone) this.#keep(now);
    return this.#change(before);
  }

  /** Whether the hold changed. */
  #learnHold(report: Report, probe: boolean, now: number, policy: SinkPolicy): boolean {
    if (report.result === "failed" && report.status === 429 && report.retryAfterMs !== undefined) {
      const until = now + grantedWait(policy.retry, report.retryAfterMs);
      if (this.#heldUntil !== null && until <= this.#heldUntil) return false;
      this.#heldUntil = until;
      return true;
    }
    if (this.#heldUntil === null || !probe) return false;
    this.#heldUntil = null;
    return true;
  }

  /** Whether it is now paused. */
  #learnGone(report: Report): boolean {
    if (report.result !== "failed" || !report.gone || this.#paused !== null) return false;
    this.#paused = "the receiver answered 410 Gone";
    this.#log.warn({ sink: this.#sink }, "sink paused: its receiver is gone for good");
    return true;
  }

  #change(before: Breaker): BreakerChange | null {
    const { waitMs, failures } = this.#breaker;
    if ((before.waitMs === null) === (waitMs === null)) return null;
    if (waitMs !== null) {
      this.#log.warn({ sink: this.#sink, failures, probe_ms: waitMs }, "breaker opened");
      return { state: "open", failures };
    }
    this.#log.info({ sink: this.#sink, failures: before.failures }, "breaker closed");
    return { state: "closed", failures: before.failures };
  }

  pause(reason: string): void {
    this.#paused = reason;
    this.#keep(this.#clock.monotonic());
    this.#log.info({ sink: this.#sink, reason }, "sink paused");
  }

  /** Ends a pause, and a hold's or an open breaker's wait: what comes next probes. */
  resume(): void {
    const now = this.#clock.monotonic();
    this.#paused = null;
    this.#openUntil = now;
    if (this.#heldUntil !== null) this.#heldUntil = now;
    this.#keep(now);
    this.#log.info({ sink: this.#sink }, "sink resumed");
  }

  /**
   * The sink has its broker again: an open breaker's wait is over, and what comes next probes. How long the next wait
   * would be stays, should the probe fail. False where the breaker is closed.
   */
  reconnected(): boolean {
    const now = this.#clock.monotonic();
    if (!this.#open || this.#openUntil <= now) return false;
    this.#openUntil = now;
    this.#keep(now);
    this.#log.debug({ sink: this.#sink }, "the breaker probes at once: the sink has its broker again");
    return true;
  }

  status(): GuardStatus {
    const now = this.#clock.monotonic();
    const held = this.#heldUntil === null ? 0 : Math.ceil(this.#heldUntil - now);
    const breaker = !this.#open ? "closed" : this.#openUntil > now ? "open" : "probing";
    return { paused: this.#paused, heldMs: held > 0 ? held : null, breaker };
  }

  #keep(now: number): void {
    const wall = this.#clock.wall();
    const left = (until: number) => Math.max(0, Math.round(until - now));
    const { failures, waitMs } = this.#breaker;
    const held = this.#heldUntil === null ? null : left(this.#heldUntil);
    this.#store.setSinkState(this.#sink, {
      hold: held === null ? null : { until: wall + held, ms: held },
      paused: this.#paused,
      breaker: waitMs === null ? null : { failures, openUntil: wall + left(this.#openUntil), waitMs },
    });
  }
}
