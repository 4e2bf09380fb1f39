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
  /** When attempts of late began; with the rate that held then. */
  #begun: number[] = [];
  #rate: SinkPolicy["rate"] = null;

  constructor(name: string) {
    this.name = name;
  }

  /** An attempt reaches the receiver. True: it is a probe. */
  starts(now: number, policies: readonly SinkPolicy[], shown: string): boolean {
    assert.ok(!this.paused, `${shown}: the sink is paused`);
    this.#inFlight++;
    const slots = Math.max(...policies.map(({ concurrency }) => concurrency));
    assert.ok(this.#inFlight <= slots, `${shown}: ${this.#inFlight} under way, of ${slots}`);
    this.#checkRate(now, policies, shown);
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
    if (report.result === "rejected") return;
    const { breaker, retry } = policies[0]!;
    if (report.result === "failed" && report.gone) this.paused = true;
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
      if (this.#heldUntil === null || until > this.#heldUntil) this.#heldUntil = until;
    } else if (probe) this.#heldUntil = null;
  }

  resumed(now: number): void {
    this.paused = false;
    this.#openUntil = now;
    if (this.#heldUntil !== null) this.#heldUntil = now;
  }

  /** No route names it any more: what was not on disk is forgotten. */
  left(): void {
    this.#failures = 0;
  }

  /** A new process: what was on disk holds, for no longer than it was meant to; the rest is forgotten. */
  restarted(state: string | undefined, now: number, wall: number): void {
    const { paused, hold, breaker }: SinkState =
      state === undefined ? { paused: null, hold: null, breaker: null } : JSON.parse(state);
    const left = (until: number, most: number) => Math.min(Math.max(until - wall, 0), most);
    this.#inFlight = 0;
    this.#probing = false;
    this.#begun = [];
    this.#failures = breaker?.failures ?? 0;
    this.paused = paused !== null;
    this.#waitMs = breaker?.waitMs ?? null;
    if (breaker !== null) this.#openUntil = now + left(breaker.openUntil, breaker.waitMs);
    this.#heldUntil = hold === null ? null : now + left(hold.until, hold.ms);
  }

  #open(waitMs: number, now: number): void {
    this.#waitMs = waitMs;
    this.#openUntil = now + waitMs;
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
