/**
 * The loop of one pushed subscription: lease → prepare → deliver → settle.
 *
 * It runs when its gate gives it a turn, and nothing in it throws through the loop: what can't be prepared is settled
 * dead with the reason, what the sink reports is judged, and a sink's defect counts as a failed attempt. A lease keeps
 * the target and the gate it began with until its end, whatever a reload puts in their place.
 *
 * A lease's life: begun → prepared (perhaps awaited) → attempted → ended by one `settle` or `release`. What can't be
 * prepared for now (nothing that the event has to do with) is released after a moment, and leased again.
 */
import type { Message, Report } from "../component.ts";
import type { NewEvent } from "../event.ts";
import type { AttemptRecord, Lease, Settlement, Subscription } from "../journal/journal.ts";
import type { Chance, Clock, Logger } from "../ports.ts";
import type { FilterReason, Prepared } from "../prepared.ts";
import { Attempt } from "./attempt.ts";
import type { ClockSteps } from "./clock-steps.ts";
import type { Defects } from "./defects.ts";
import { Flights } from "./flights.ts";
import type { Entrant, Gate, Seat } from "./gate.ts";
import { raiseBreaker, raiseDead, raiseReply } from "./raise.ts";
import { judge } from "./retry.ts";
import type { DeliveryObserver, PushedTarget } from "./target.ts";
import { defect, isForNow, PREPARE_AGAIN_MS, tooManyHops, unprepared } from "./unprepared.ts";

/** What all workers share. */
export interface WorkerTools {
  readonly clock: Clock;
  readonly steps: ClockSteps;
  readonly defects: Defects;
  readonly chance: Chance;
  readonly log: Logger;
  readonly observer: DeliveryObserver;
}

/** A lease on its way. */
interface Flight {
  readonly lease: Lease;
  readonly target: PushedTarget;
  readonly gate: Gate;
  readonly probe: boolean;
  attempt: Attempt | null;
  place: number;
  /** Settled or handed back; what `prepare` yields later comes too late. */
  ended: boolean;
}

export class Worker implements Entrant {
  readonly subscription: Subscription;
  readonly #tools: WorkerTools;
  #target: PushedTarget;
  #gate: Gate;
  #seat: Seat;
  readonly #flights = new Flights<Flight>();

  constructor(subscription: Subscription, target: PushedTarget, gate: Gate, tools: WorkerTools) {
    this.subscription = subscription;
    this.#tools = tools;
    this.#target = target;
    this.#gate = gate;
    this.#seat = gate.join(this);
    subscription.onReady(() => this.#seat.wake());
    this.#seat.wake();
  }

  get target(): PushedTarget {
    return this.#target;
  }

  /** New leases follow `target` from now on. Resolves when those that began under the old one have ended. */
  swap(target: PushedTarget, gate: Gate): Promise<void> {
    const old = this.#target;
    this.#target = target;
    if (gate !== this.#gate) {
      this.#seat.leave();
      this.#gate = gate;
      this.#seat = gate.join(this);
    }
    this.#seat.wake();
    return this.#flights.none((flight) => flight.target === old);
  }

  /** Leases nothing more. Resolves when what is under way has ended. */
  retire(): Promise<void> {
    this.subscription.onReady(null);
    this.#seat.leave();
    return this.#flights.none(() => true);
  }

  /** Ends what is under way without waiting for its receiver; it will be leased again. */
  abort(): void {
    for (const flight of this.#flights) {
      if (flight.attempt === null) this.#handBack(flight);
      else flight.attempt.abort();
    }
  }

  start(max: number): number {
    const leases = this.subscription.lease(max);
    for (const lease of leases) this.#begin(lease);
    return leases.length;
  }

  // ----------------------------------------------------------------------------------------------- one lease's life

  #begin(lease: Lease): void {
    const flight: Flight = {
      lease,
      target: this.#target,
      gate: this.#gate,
      probe: this.#gate.enter(),
      attempt: null,
      place: -1,
      ended: false,
    };
    this.#flights.add(flight);
    let prepared: Prepared | Promise<Prepared>;
    try {
      prepared = flight.target.prepare(lease.event, lease.cause);
    } catch (error) {
      this.#notPrepared(flight, error);
      return;
    }
    if (!(prepared instanceof Promise)) this.#prepared(flight, prepared);
    else {
      prepared.then(
        (outcome) => this.#prepared(flight, outcome),
        (error: unknown) => this.#notPrepared(flight, error),
      );
    }
  }

  #notPrepared(flight: Flight, error: unknown): void {
    const { clock, defects } = this.#tools;
    if (isForNow(error)) {
      clock.after(PREPARE_AGAIN_MS, () => this.#handBack(flight));
      return;
    }
    defects.tell(`route ${flight.target.route}`, error);
    this.#prepared(flight, defect(error));
  }

  #prepared(flight: Flight, prepared: Prepared): void {
    if (flight.ended) return;
    const { lease, target } = flight;
    if (prepared.result === "filtered") {
      this.#tools.observer.filtered(target.route, target.sinkName, prepared.reason);
      const attempt = awaited(lease) ? filteredRecord(prepared.reason, this.#tools.clock.wall()) : null;
      this.#settle(flight, { outcome: "filtered", attempt });
      this.#land(flight, false);
    } else if (prepared.result === "dead") this.#hopeless(flight, unprepared(prepared));
    else {
      const loop = tooManyHops(lease);
      if (loop !== null) this.#hopeless(flight, loop);
      else this.#attempt(flight, prepared);
    }
  }

  #attempt(flight: Flight, { body, contentType, fields }: Extract<Prepared, { result: "message" }>): void {
    const { lease, target } = flight;
    const { clock, steps, defects } = this.#tools;
    const message: Message = {
      event: lease.event,
      body,
      contentType,
      fields,
      route: target.route,
      subscription: target.subscription,
      attempt: lease.attempt,
      replay: lease.replay,
      hops: lease.event.hops + 1,
    };
    const at = steps.now();
    const begun = clock.monotonic();
    flight.attempt = new Attempt(target.sink, message, target.policy.timeoutMs, clock, (error) => {
      defects.tell(`sink ${target.sinkName}`, error);
    });
    // Neither the report nor what follows it rejects.
    void flight.attempt.report.then((report) => this.#reported(flight, report, at, begun));
  }

  #reported(flight: Flight, report: Report, at: number, begun: number): void {
    const { lease, target } = flight;
    const { clock, steps, chance, observer } = this.#tools;
    if (flight.attempt?.stopped && report.result === "failed") {
      this.#handBack(flight);
      return;
    }
    const ms = clock.monotonic() - begun;
    const { event } = lease;
    const verdict = judge(
      report,
      {
        policy: target.policy.retry,
        keyed: event.key !== null && target.policy.order === "key",
        attempt: lease.attempt,
        ageMs: steps.since(lease.firstAttemptAt ?? at),
      },
      chance,
    );
    observer.attempt(target.route, target.sinkName, verdict.outcome, ms / 1000);

    const raises: NewEvent[] = [];
    const now = clock.wall();
    const breaker = flight.gate.learn(report, flight.probe);
    if (breaker !== null) {
      raises.push(...raiseBreaker(event, target.sinkName, breaker.state, breaker.failures, now));
    }
    const attempt = recordOf(report, verdict.outcome, at, ms);
    if (verdict.outcome === "dead") {
      this.#settle(flight, this.#dead(flight, attempt, verdict, raises));
    } else if (verdict.outcome === "retry") {
      const { delayMs } = verdict;
      this.#tools.log.debug(
        {
          subscription: target.subscription,
          seq: event.seq,
          attempt: lease.attempt,
          error: attempt.error,
          delayMs,
        },
        "delivery failed: it will be tried again",
      );
      this.#settle(flight, { outcome: "retry", delayMs, attempt, ...some(raises) });
    } else {
      if (report.result === "delivered" && report.reply !== undefined) {
        raises.push(...raiseReply(lease, target.sinkName, target.subscription, report.reply, now));
      }
      this.#settle(flight, { outcome: "delivered", attempt, ...some(raises) });
      if (lease.replay === 0) {
        observer.delivered(target.route, target.sinkName, Math.max(0, now - event.time) / 1000);
      }
    }
    this.#land(flight, true);
  }

  // ---------------------------------------------------------------------------------------------------------- its end

  /** Dead without an attempt. */
  #hopeless(flight: Flight, why: { readonly error: string; readonly message: string }): void {
    const { route, sinkName } = flight.target;
    this.#tools.observer.undeliverable(route, sinkName, why.error);
    this.#settle(flight, this.#dead(flight, null, why, []));
    this.#land(flight, false);
  }

  #dead(
    flight: Flight,
    attempt: AttemptRecord | null,
    { error, message }: { readonly error: string; readonly message: string },
    raises: readonly NewEvent[],
  ): Settlement {
    const { lease, target } = flight;
    const attempts = attempt === null ? lease.attempt - 1 : lease.attempt;
    const { subscription, route, sinkName: sink } = target;
    const status = attempt?.status ?? null;
    this.#tools.log.warn(
      { subscription, sink, seq: lease.event.seq, error, status, attempts },
      "delivery dead: kept as a dead letter",
    );
    const death = { subscription, route, sink, error, message, status, attempts };
    const raised = [...raises, ...raiseDead(lease, death, this.#tools.clock.wall())];
    return { outcome: "dead", error, message, attempt, ...some(raised) };
  }

  #settle(flight: Flight, settlement: Settlement): void {
    // Rejects only when the journal is lost, which is the daemon's to act on; the lease is then nobody's.
    this.subscription.settle(flight.lease, settlement).catch(() => {});
  }

  #handBack(flight: Flight): void {
    if (flight.ended) return;
    this.subscription.release(flight.lease);
    this.#land(flight, false);
  }

  #land(flight: Flight, attempted: boolean): void {
    flight.ended = true;
    // The lease's end may have freed its key, or a place among the subscription's leases.
    this.#seat.wake();
    flight.gate.exit(flight.probe, attempted);
    this.#flights.landed(flight);
  }
}

const some = (raises: readonly NewEvent[]) => (raises.length === 0 ? {} : { raises });

/** Somebody waits for it: who ordered the replay, or who saw it retry. The history says then why nothing was sent. */
function awaited({ replay, attempt }: Lease): boolean {
  return replay > 0 || attempt > 1;
}

function filteredRecord(reason: FilterReason, at: number): AttemptRecord {
  const message = FILTERED_BY[reason];
  return { at, ms: 0, outcome: "filtered", status: null, error: null, message, answer: null };
}

const FILTERED_BY: Readonly<Record<FilterReason, string>> = {
  match: "the route's match doesn't hold for it",
  where: "the route's where doesn't hold for it",
  absent_path: "the route's where asks for a path that it hasn't got",
};

function recordOf(report: Report, outcome: AttemptRecord["outcome"], at: number, ms: number): AttemptRecord {
  const failed = report.result !== "delivered";
  return {
    at,
    ms: Math.round(ms * 1000) / 1000,
    outcome,
    status: report.result === "rejected" ? null : (report.status ?? null),
    error: failed ? report.error : null,
    message: failed ? report.message : null,
    answer: report.result === "rejected" ? null : (report.answer ?? null),
  };
}
