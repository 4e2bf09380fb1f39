/**
 * Settles without an attempt what a subscription has not settled up to some seq: a backlog beyond its bound (expired), or a
 * person's purge. What was not read yet is read for it, page by page, so that it is counted; one such job at a time.
 */
import type { Event, Seq } from "../../event.ts";
import type { Delivery } from "./delivery.ts";
import type { DeltaBuilder } from "./delta-builder.ts";
import type { Owners } from "./feeds.ts";
import type { Inflow } from "./inflow.ts";
import type { Unsettled } from "./unsettled.ts";

export interface Job {
  readonly through: Seq;
  readonly outcome: "expired" | "purged";
  readonly reason: string;
}

interface Running extends Job {
  count: number;
  readonly done: PromiseWithResolvers<number>;
}

/** Beyond so many those before all that is unsettled are put together. */
const MANY_RUNS = 256;

export interface LettingGoHost {
  gathering(): DeltaBuilder;
  /** A delivery of an event that is read for the first time; it is in nothing yet. */
  delivery(event: Event, owners: Owners): Delivery;
  /** An event behind the job's end was read on the way. */
  admit(event: Event, owners: Owners): void;
  /** Settles one that waits. */
  settle(delivery: Delivery, outcome: Job["outcome"]): void;
  /** There is something to commit. */
  changed(): void;
  /** A stream's, whose readers have to be told where something is missing. */
  bySeq(): boolean;
}

export class LettingGo {
  readonly #inflow: Inflow;
  readonly #unsettled: Unsettled;
  readonly #host: LettingGoHost;
  #running: Running | null = null;
  /** The last thing that happened was that this seq, not read before, was let go: then ranges join. */
  #joined: Seq | null = null;
  /**
   * The last of each run of seqs that were let go, ascending. Of a pushed sink, which nobody asks for it, the
   * highest will do; and of those before all that is unsettled.
   */
  #runs: Seq[] = [];

  constructor(inflow: Inflow, unsettled: Unsettled, host: LettingGoHost) {
    this.#inflow = inflow;
    this.#unsettled = unsettled;
    this.#host = host;
  }

  /** As `Subscription.lapsed`. */
  lapsed(before?: Seq): Seq {
    if (this.#runs.length === 0) return 0;
    const end = before ?? this.#unsettled.oldest(true);
    return this.#runs.findLast((seq) => seq < end) ?? 0;
  }

  get running(): boolean {
    return this.#running !== null;
  }

  /** `unread`: only what was not read yet. Resolves with how many were let go, once that is on disk. */
  start(job: Job, unread: boolean): Promise<number> {
    const before = this.#running;
    if (before !== null) return before.done.promise.then(() => this.start(job, unread));
    const running: Running = { ...job, count: 0, done: Promise.withResolvers<number>() };
    // Nobody has to wait for it; losing the journal is told elsewhere too.
    running.done.promise.catch(() => {});
    this.#running = running;
    for (const delivery of unread ? [] : this.#unsettled) {
      const concerned = delivery.replay === 0 || job.outcome === "purged";
      if (delivery.seq <= job.through && concerned && this.#drop(delivery, job)) running.count++;
    }
    this.goOn();
    return running.done.promise;
  }

  /** Of what was read: what has been free since before `time` and was not attempted since. Nothing while a job runs. */
  old(time: number, reason: string): void {
    if (this.#running !== null) return;
    let dropped = false;
    for (const delivery of this.#unsettled) {
      const waits = delivery.state === "parked" || delivery.replay > 0;
      // Not since before it came, as it would seem of one that was tried while the clock was set back.
      const since = Math.max(delivery.freeSince, delivery.event?.time ?? 0);
      if (waits || since >= time) continue;
      if (this.#drop(delivery, { through: delivery.seq, outcome: "expired", reason })) dropped = true;
    }
    if (dropped) this.#host.changed();
  }

  /** More may be there to be read. */
  goOn(): void {
    const running = this.#running;
    if (running === null) return;
    while (this.#inflow.next <= running.through) {
      const fresh = this.#inflow.take();
      if (fresh === null) break;
      if (fresh.event.seq > running.through) {
        this.#host.admit(fresh.event, fresh.owners);
        break;
      }
      this.#unread(fresh.event, fresh.owners, running);
    }
    this.#host.changed();
    if (this.#inflow.next <= running.through && this.#inflow.behind) return;
    this.#running = null;
    const { done } = running;
    this.#host.gathering().promise.then(() => done.resolve(running.count), done.reject);
  }

  /** Something else was read or settled. */
  interrupted(): void {
    this.#joined = null;
  }

  #drop(delivery: Delivery, { outcome, reason }: Job): boolean {
    const { state, replay, seq } = delivery;
    if (state === "gone") return false;
    if (state === "leased" || state === "settling") {
      // What is in flight ends as it ends; after a purge it is not tried again.
      if (outcome === "purged") delivery.letGo = true;
      return false;
    }
    if (replay === 0) this.#host.gathering().expire(seq, reason, false);
    // To a stream a replay is an event like any other.
    this.#note(seq, false);
    this.#host.settle(delivery, outcome);
    return true;
  }

  #unread(event: Event, owners: Owners, running: Running): void {
    const gathering = this.#host.gathering();
    const delivery = this.#host.delivery(event, owners);
    for (const route of owners.routes) gathering.settled(route, delivery, running.outcome, false);
    gathering.expire(event.seq, running.reason, this.#joined !== null);
    this.#note(event.seq, this.#joined !== null);
    this.#joined = event.seq;
    this.#unsettled.settledUpTo(event.seq);
    running.count++;
  }

  /** `joined`: nothing else lies between it and the one before. */
  #note(seq: Seq, joined: boolean): void {
    const last = this.#runs.at(-1) ?? 0;
    if (joined || !this.#host.bySeq()) this.#runs.splice(-1, 1, Math.max(seq, last));
    else if (seq > last) this.#runs.push(seq);
    else this.#runs.splice(this.#runs.findLastIndex((each) => each < seq) + 1, 0, seq);
    if (this.#runs.length < MANY_RUNS) return;
    const settled = this.lapsed();
    this.#runs = this.#runs.filter((each) => each >= settled);
  }
}
