/** What a sink's receiver has shown, and what may therefore reach it: within bounds, and not while it is to be left alone. */
import assert from "node:assert/strict";
import type { Report } from "../../src/component.ts";
import type { SinkState } from "../../src/journal/journal.ts";
import type { SinkPolicy } from "../../src/plan.ts";

export class SinkTruth {
  readonly name: string;
  /** A person, or a 410, has paused it. */
  paused = false;
  #inFlight = 0;
  #failures = 0;
  /** The breaker's wait; null while it is closed. */
  #waitMs: number | null = null;
  #openUntil = 0;
  #heldUntil: number | null = null;
  #probing = false;
  /** No route names it, and something is still under way. */
  #leaving = false;
  /** Its state as it was on disk when this life began. */
  #stored: SinkState = { paused: null, hold: null, breaker: null };
  /** When it was last to be left alone from. */
  #since = Number.NEGATIVE_INFINITY;
  /** When attempts of late began; with the rate that held then. */
  #begun: number[] = [];
  #rate: SinkPolicy["rate"] = null;
  /** How it has been, since it was last told to be so on disk; times are monotonic. */
  #shown: {
    readonly paused: boolean;
    readonly openUntil: number | null;
    readonly heldUntil: number | null;
  }[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** J7: what is on disk of it is how it was at some time since it was last on disk. `offset`: of the wall clock. */
  kept({ paused, hold, breaker }: SinkState, now: number, offset: number): void {
    this.#note();
    const fits = (shown: number | null, kept: number | null) => {
      if (shown === null || kept === null) return shown === kept;
      // A time that is over is written as the time at which it was written.
      return Math.abs(shown - kept) <= 2 || (shown <= kept && kept <= now + 2);
    };
    const openUntil = breaker === null ? null : breaker.openUntil - offset;
    const heldUntil = hold === null ? null : hold.until - offset;
    const at = this.#shown.findIndex(
      (shown) =>
        shown.paused === (paused !== null) &&
        fits(shown.openUntil, openUntil) &&
        fits(shown.heldUntil, heldUntil),
    );
    const told = JSON.stringify({ paused, openUntil, heldUntil });
    assert.ok(at !== -1, `J7: ${this.name} is ${told} on disk, and was ${JSON.stringify(this.#shown)}`);
    this.#shown = this.#shown.slice(at);
  }

  /** A person pauses it. */
  pauses(now: number): void {
    this.paused = true;
    this.#since = now;
    this.#note();
  }

  #note(): void {
    const { paused } = this;
    this.#shown.push({
      paused,
      openUntil: this.#waitMs === null ? null : this.#openUntil,
      heldUntil: this.#heldUntil,
    });
  }

  /** An attempt reaches the receiver. True: it is a probe. */
  starts(now: number, policies: readonly SinkPolicy[], shown: string): boolean {
    this.#inFlight++;
    const slots = Math.max(...policies.map(({ concurrency }) => concurrency));
    assert.ok(this.#inFlight <= slots, `${shown}: ${this.#inFlight} under way, of ${slots}`);
    this.#checkRate(now, policies, shown);
    // It was leased just before: its message took a turn of the event loop to be made.
    const left =
      this.paused || (this.#heldUntil ?? 0) > now || (this.#waitMs !== null && this.#openUntil > now);
    if (left && now === this.#since) return false;
    assert.ok(!this.paused, `${shown}: the sink is paused`);
    if (this.#heldUntil !== null) {
      assert.ok(
        now >= this.#heldUntil - 1,
        `J7: ${shown}: the sink is on hold for ${this.#heldUntil - now} ms`,
      );
    }
    if (this.#waitMs !== null) {
      assert.ok(
        now >= this.#openUntil - 1,
        `J7: ${shown}: the breaker is open for ${this.#openUntil - now} ms`,
      );
    }
    if (this.#heldUntil === null && this.#waitMs === null) return false;
    assert.ok(!this.#probing, `${shown}: a second probe`);
    this.#probing = true;
    return true;
  }

  handedBack(probe: boolean): void {
    this.#inFlight--;
    if (probe) this.#probing = false;
  }

  learns(report: Report, probe: boolean, now: number, policies: readonly SinkPolicy[]): void {
    this.handedBack(probe);
    this.#takesIn(report, probe, now, policies);
    if (this.#leaving && this.#inFlight === 0) this.left();
  }

  #takesIn(report: Report, probe: boolean, now: number, policies: readonly SinkPolicy[]): void {
    if (report.result === "rejected") return;
    const { breaker, retry } = policies[0]!;
    if (report.result === "failed" && report.gone) {
      this.paused = true;
      this.#since = now;
    }
    const wasOpen = this.#waitMs !== null;
    const alive =
      report.result === "delivered" ||
      (report.status !== undefined && report.status < 500 && report.status !== 429);
    if (alive) {
      this.#failures = 0;
      this.#waitMs = null;
    } else if (!wasOpen) {
      this.#failures++;
      if (this.#failures >= breaker.failures) this.#open(breaker.probeMs, now);
    } else if (probe) this.#open(Math.min(this.#waitMs! * 2, breaker.maxMs), now);
    if (report.result === "failed" && report.status === 429 && report.retryAfterMs !== undefined) {
      const until = now + Math.min(report.retryAfterMs, retry.maxWaitMs);
      if (this.#heldUntil === null || until > this.#heldUntil) {
        this.#heldUntil = until;
        this.#since = now;
      }
    } else if (probe) this.#heldUntil = null;
    this.#note();
  }

  resumed(now: number): void {
    this.paused = false;
    this.#since = Number.NEGATIVE_INFINITY;
    this.#openUntil = now;
    if (this.#heldUntil !== null) this.#heldUntil = now;
    this.#note();
  }

  /** No route names it any more: what was not on disk is forgotten, once nothing is under way. */
  left(): void {
    this.#leaving = this.#inFlight > 0;
    if (!this.#leaving) this.#failures = 0;
  }

  /** A route names it. */
  named(): void {
    this.#leaving = false;
  }

  /** The wall clock was set: when what is on disk is over depends on whether it was read before that. */
  stepped(now: number, wall: number): void {
    const { hold, breaker } = this.#stored;
    const until = (end: number, most: number) => now + Math.min(Math.max(end - wall, 0), most);
    if (breaker !== null)
      this.#openUntil = Math.min(this.#openUntil, until(breaker.openUntil, breaker.waitMs));
    if (hold !== null && this.#heldUntil !== null) {
      this.#heldUntil = Math.min(this.#heldUntil, until(hold.until, hold.ms));
    }
  }

  /** A new process: what was on disk holds, for no longer than it was meant to; the rest is forgotten. */
  restarted(state: string | undefined, now: number, wall: number): void {
    const stored: SinkState =
      state === undefined ? { paused: null, hold: null, breaker: null } : JSON.parse(state);
    const { paused, hold, breaker } = stored;
    // It is cut as it is read, so that a clock set back is no reason to wait longer; and one set forth thereafter ends it.
    this.#stored = {
      paused,
      hold: hold && { ...hold, until: Math.min(hold.until, wall + hold.ms) },
      breaker: breaker && { ...breaker, openUntil: Math.min(breaker.openUntil, wall + breaker.waitMs) },
    };
    const left = (until: number, most: number) => Math.min(Math.max(until - wall, 0), most);
    this.#inFlight = 0;
    this.#probing = false;
    this.#leaving = false;
    this.#since = Number.NEGATIVE_INFINITY;
    this.#begun = [];
    this.#failures = breaker?.failures ?? 0;
    this.paused = paused !== null;
    this.#waitMs = breaker?.waitMs ?? null;
    if (breaker !== null) this.#openUntil = now + left(breaker.openUntil, breaker.waitMs);
    this.#heldUntil = hold === null ? null : now + left(hold.until, hold.ms);
    this.#shown = [];
    this.#note();
  }

  #open(waitMs: number, now: number): void {
    this.#waitMs = waitMs;
    this.#openUntil = now + waitMs;
    this.#since = now;
  }

  #checkRate(now: number, policies: readonly SinkPolicy[], shown: string): void {
    const [policy, other] = policies;
    const rate = policy?.rate ?? null;
    const same = rate?.count === this.#rate?.count && other === undefined;
    if (!same) this.#begun = [];
    this.#rate = rate;
    this.#begun.push(now);
    if (rate === null || !same) return;
    this.#begun = this.#begun.filter((at) => at > now - rate.perMs);
    const burst = Math.max(1, Math.floor((rate.count / rate.perMs) * 100));
    assert.ok(
      this.#begun.length <= rate.count + burst,
      `${shown}: ${this.#begun.length} within ${rate.perMs} ms`,
    );
  }
}
