/**
 * Delivery as the daemon sees it: started with targets, given new ones by a reload, stopped. It keeps one gate for each
 * pushed sink, one worker for each pushed subscription and one for each stream; they share nothing but the journal, so
 * that a dead sink slows no other.
 */
import type { Ledger, StreamIndex, Subscription } from "../journal/journal.ts";
import type { Chance, Clock, Logger } from "../ports.ts";
import { ClockSteps } from "./clock-steps.ts";
import { Defects } from "./defects.ts";
import { Gate, type GateStatus } from "./gate.ts";
import { StreamWorker, type Succession } from "./stream-worker.ts";
import type { DeliveryObserver, PushedTarget, StreamTarget } from "./target.ts";
import { Worker, type WorkerTools } from "./worker.ts";

export interface DeliveryOptions {
  readonly ledger: Pick<Ledger, "subscription" | "sinkState" | "setSinkState">;
  readonly streams: StreamIndex;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Logger;
  readonly observer: DeliveryObserver;
}

export class Delivery {
  readonly #ledger: DeliveryOptions["ledger"];
  readonly #streams: StreamIndex;
  readonly #tools: WorkerTools;
  readonly #gates = new Map<string, Gate>();
  readonly #workers = new Map<string, Worker>();
  readonly #streamWorkers = new Map<string, StreamWorker>();
  #stopped = false;

  constructor({ ledger, streams, clock, chance, log, observer }: DeliveryOptions) {
    this.#ledger = ledger;
    this.#streams = streams;
    this.#tools = { clock, chance, log, observer, steps: new ClockSteps(clock), defects: new Defects(log) };
  }

  /**
   * Works for these targets from now on; at the start, and at a reload right after `ledger.reconcile`. Resolves when
   * everything that was under way for a replaced or removed target has ended: only then may its sink be stopped.
   */
  async apply(pushed: readonly PushedTarget[], streams: readonly StreamTarget[]): Promise<void> {
    if (this.#stopped) return;
    const ended: Promise<void>[] = [];
    ended.push(...this.#applyPushed(pushed), ...this.#applyStreams(streams));
    await Promise.all(ended);
    for (const [sink, gate] of this.#gates) {
      if (!gate.empty) continue;
      gate.close();
      this.#gates.delete(sink);
    }
  }

  #applyPushed(targets: readonly PushedTarget[]): Promise<void>[] {
    const ended: Promise<void>[] = [];
    const wanted = new Set(targets.map(({ subscription }) => subscription));
    for (const [name, worker] of this.#workers) {
      if (wanted.has(name) && worker.subscription === this.#ledger.subscription(name)) continue;
      this.#workers.delete(name);
      ended.push(worker.retire());
    }
    for (const target of targets) {
      const subscription = this.#ledger.subscription(target.subscription);
      if (subscription === undefined)
        throw new Error(`no subscription ${target.subscription}: reconcile first`);
      const gate = this.#gateOf(target);
      const worker = this.#workers.get(target.subscription);
      if (worker === undefined) {
        this.#workers.set(target.subscription, new Worker(subscription, target, gate, this.#tools));
      } else ended.push(worker.swap(target, gate));
    }
    return ended;
  }

  #gateOf({ sinkName, sinkPolicy }: PushedTarget): Gate {
    const known = this.#gates.get(sinkName);
    if (known !== undefined) {
      known.configure(sinkPolicy);
      return known;
    }
    const { clock, log } = this.#tools;
    const gate = new Gate(sinkName, sinkPolicy, this.#ledger, clock, log);
    this.#gates.set(sinkName, gate);
    return gate;
  }

  #applyStreams(targets: readonly StreamTarget[]): Promise<void>[] {
    const ended: Promise<void>[] = [];
    const wanted = new Set(targets.map(({ stream }) => stream));
    const retired = new Map<Subscription, Pick<Succession, "after" | "sinks">>();
    for (const [name, worker] of this.#streamWorkers) {
      if (wanted.has(name) && worker.subscription === this.#ledger.subscription(name)) continue;
      this.#streamWorkers.delete(name);
      const after = worker.retire();
      retired.set(worker.subscription, { after, sinks: worker.sinks });
      ended.push(after);
    }
    for (const target of targets) {
      const { stream } = target;
      const subscription = this.#ledger.subscription(stream);
      if (subscription === undefined) throw new Error(`no subscription ${stream}: reconcile first`);
      const worker = this.#streamWorkers.get(stream);
      if (worker === undefined) {
        const takesOver = this.#takesOver(subscription, retired);
        const made = new StreamWorker(subscription, target, this.#streams, this.#tools, takesOver);
        this.#streamWorkers.set(stream, made);
      } else ended.push(worker.swap(target));
    }
    return ended;
  }

  /** A stream with another name now: what its worker had under way still goes to the index by the old one. */
  #takesOver(
    subscription: Subscription,
    retired: ReadonlyMap<Subscription, Pick<Succession, "after" | "sinks">>,
  ): Succession | null {
    const { was } = subscription.definition;
    const name = was !== null && this.#ledger.subscription(was) === undefined ? was : null;
    const former = retired.get(subscription);
    if (name === null && former === undefined) return null;
    return { name, ...(former ?? { after: Promise.resolve(), sinks: null }) };
  }

  /** These sinks, which were replaced, are stopped: nothing more is handed to them. */
  stopped(sinks: readonly object[]): void {
    for (const worker of this.#streamWorkers.values()) for (const sink of sinks) worker.sinks.remove(sink);
  }

  /** A person pauses a pushed sink; false when there is none of that name. */
  pause(sink: string, reason: string): boolean {
    const gate = this.#gates.get(sink);
    gate?.pause(reason);
    return gate !== undefined;
  }

  /** Ends a pause (a 410's too), and has a hold or an open breaker probed at once. */
  resume(sink: string): boolean {
    const gate = this.#gates.get(sink);
    gate?.resume();
    return gate !== undefined;
  }

  /** A pushed sink has its broker again: an open breaker needn't wait for its time to find that out. */
  reconnected(sink: string): void {
    this.#gates.get(sink)?.reconnected();
  }

  /** For readiness, metrics and people: one entry for each pushed sink. */
  status(): GateStatus[] {
    return [...this.#gates.values()].map((gate) => gate.status());
  }

  /**
   * Starts nothing more; what is under way may finish for `graceMs`, and is then aborted and handed back. A waiting
   * retry is the journal's and delays nothing.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    for (const gate of this.#gates.values()) gate.close();
    const workers = [...this.#workers.values(), ...this.#streamWorkers.values()];
    const ended = Promise.all(workers.map((worker) => worker.retire()));
    const cancel = this.#tools.clock.after(graceMs, () => {
      for (const worker of workers) worker.abort();
    });
    await ended;
    cancel();
  }
}
