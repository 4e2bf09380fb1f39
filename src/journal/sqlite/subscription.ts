import type { Event, Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type {
  Counts,
  Lease,
  Reread,
  Settlement,
  Subscription,
  SubscriptionDefinition,
  Unindexed,
} from "../journal.ts";
import type { Account, Outcome } from "./account.ts";
import { Admission } from "./admission.ts";
import { Delivery, DeliveryLease } from "./delivery.ts";
import type { DeltaSink, DeltaSource, TakenDelta } from "./delta.ts";
import { DeltaBuilder, type Gathered } from "./delta-builder.ts";
import type { BacklogMarks, EventFeed } from "./event-feed.ts";
import { DAMAGED_TYPE } from "./event-row.ts";
import { Feeds, type Owners, type RouteSpans } from "./feeds.ts";
import type { DeliveryRow } from "./group.ts";
import { Inflow } from "./inflow.ts";
import type { StoredSubscription } from "./ledger-store.ts";
import { type Job, LettingGo } from "./letting-go.ts";
import { resumeAt } from "./reconcile.ts";
import { reread } from "./reread.ts";
import { Singly } from "./singly.ts";
import { Turns } from "./turns.ts";
import { Unsettled } from "./unsettled.ts";

/** Deliveries parked behind their keys, and deliveries with rows of any kind, before nothing new is read. */
const MAX_PARKED = 10_000;
const MAX_ROWS = 50_000;
/** Settlements that may wait for their commit before no new delivery starts. */
const MAX_UNCOMMITTED = 20_000;
/** How far the cursor on disk may lag behind events that nobody owes. */
const LAZY_CURSOR = 1024;

/** A subscription as the writer hands it over at start, or when a reload has added it. */
export interface LoadedSubscription extends Omit<StoredSubscription, "accounts"> {
  readonly accounts: readonly Account[];
}

export interface SubscriptionHost {
  readonly clock: Clock;
  readonly feed: EventFeed & Pick<BacklogMarks, "seqBefore">;
  readonly sink: DeltaSink;
  /** The last process ended without closing: the newest seq at its end, else null. */
  readonly uncleanAt: Seq | null;
}

/**
 * One subscription, in the main thread: synchronous, without I/O of its own.
 *
 *     new ──► ready ──► leased ──► gone             settled: filtered, delivered, dead
 *      │        ▲         │
 *      │        │         ├──► ready                released
 *      │        │         └──► settling ──► retrying
 *      │        │                              │    its time has come (a retry waits from its commit on)
 *      │        └── loading ◄──────────────────┘    its event is read again
 *      └──► parked ──► loading                      its key's head is settled
 *
 * New events come by Inflow and pass Admission; Turns says which goes next; Unsettled knows rows and cursor; what was
 * settled gathers in a DeltaBuilder until the committer takes it. Any state but `leased` may end by LettingGo.
 */
export class LiveSubscription implements Subscription, DeltaSource {
  readonly id: number;
  readonly #host: SubscriptionHost;
  readonly #feeds: Feeds;
  readonly #admission: Admission;
  readonly #inflow: Inflow;
  readonly #turns: Turns;
  readonly #unsettled = new Unsettled();
  readonly #lettingGo: LettingGo;
  readonly #singly: Singly | null;
  #definition: SubscriptionDefinition;
  /** A definition whose order or kind differs waits for what is in flight. */
  #waiting: SubscriptionDefinition | null = null;
  #active: boolean;
  #leased = 0;
  #uncommitted = 0;
  #gathering = new DeltaBuilder();
  /** The cursor of the last delta taken. */
  #written: Seq;
  #flush = false;
  #dirty = false;
  #lost: Error | null = null;
  #listener: (() => void) | null = null;
  #signalled = false;
  #backlog: { readonly at: number; readonly bytes: number } | null = null;

  constructor(loaded: LoadedSubscription, host: SubscriptionHost) {
    const { clock, feed } = host;
    this.id = loaded.id;
    this.#host = host;
    this.#definition = loaded.definition;
    this.#active = loaded.active;
    this.#written = loaded.cursor;
    this.#feeds = new Feeds(loaded.routes, loaded.accounts);
    this.#admission = new Admission(this.#feeds, () => this.#definition);
    this.#inflow = new Inflow(loaded.cursor + 1, feed, this.#admission, clock, () => {
      this.#lettingGo.goOn();
      this.#signal();
    });
    this.#inflow.until = loaded.until;
    this.#lettingGo = new LettingGo(this.#inflow, this.#unsettled, {
      gathering: () => this.#gathering,
      delivery: (event, owners) => this.#admission.delivery(event, owners, this.#gathering),
      admit: (event, owners) => {
        const delivery = this.#admit(event, owners);
        if (delivery !== null) this.#turns.ready(delivery);
      },
      settle: (delivery, outcome) => this.#drop(delivery, outcome),
      changed: () => this.#changed(),
    });
    this.#turns = new Turns({
      clock,
      feed,
      loaded: (delivery) => this.#loaded(delivery),
      woke: () => this.#signal(),
    });
    this.#turns.concurrency = loaded.definition.concurrency;
    for (const { key, seq } of loaded.held) this.#turns.hold(key, seq);
    for (const row of loaded.rows) this.#restore(row);
    const free = this.#turns.arrange(this.#unsettled.inOrder(), loaded.definition.order);
    this.#singly =
      host.uncleanAt === null
        ? null
        : new Singly(host.uncleanAt, free, loaded.definition.concurrency, loaded.crashed);
  }

  get definition(): SubscriptionDefinition {
    return this.#waiting ?? this.#definition;
  }

  get active(): boolean {
    return this.#active;
  }

  /** Everything below it was read. */
  get next(): Seq {
    return this.#inflow.next;
  }

  /** False while so much waits that nothing new is read: then what is unread isn't late by its own fault. */
  get reading(): boolean {
    return this.#turns.parked < MAX_PARKED && this.#unsettled.rows < MAX_ROWS;
  }

  // ------------------------------------------------------------------------------------------------------- leasing

  lease(max: number): Lease[] {
    const leases: Lease[] = [];
    if (!this.#active || this.#waiting !== null || this.#host.sink.stalled) return leases;
    if (this.#uncommitted >= MAX_UNCOMMITTED) return leases;
    if (this.#singly?.over(this.#inflow.next) === false) return this.#leaseSingly(this.#singly, max);
    const limit = Math.min(max, this.#definition.concurrency - this.#leased);
    while (leases.length < limit) {
      const delivery = this.#turns.next() ?? this.#fresh();
      if (delivery === null) break;
      leases.push(this.#hand(delivery));
    }
    this.#turns.prefetch();
    return leases;
  }

  release(lease: Lease): void {
    const delivery = this.#end(lease);
    for (const account of delivery.owners.accounts) account.release(delivery.replay > 0, delivery.retried);
    if (delivery.letGo) this.#purge(delivery, false);
    else if (this.#singly?.giveBack(delivery) === true) delivery.state = "suspect";
    else this.#turns.putBack(delivery, this.#definition.order);
    this.#adopt();
    this.#signal();
  }

  settle(lease: Lease, settlement: Settlement): Promise<void> {
    const delivery = this.#end(lease);
    if (this.#lost !== null) return Promise.reject(this.#lost);
    const gathering = this.#gathering;
    const { attempt } = settlement;
    if (attempt !== null) {
      delivery.attempts++;
      delivery.firstAttemptAt ??= attempt.at;
      gathering.attempt({ seq: delivery.seq, replay: delivery.replay, n: delivery.attempts, ...attempt });
    }
    if (settlement.raises !== undefined) gathering.raise(settlement.raises);
    if (this.#singly?.settled() === true) gathering.clear(delivery.seq);
    gathering.settlements++;
    this.#uncommitted++;
    switch (settlement.outcome) {
      case "filtered":
      case "delivered":
        this.#finish(delivery, settlement.outcome, true);
        if (delivery.replay > 0) this.#freeByReplay(delivery);
        break;
      case "retry":
        if (delivery.letGo) this.#purge(delivery, true);
        else this.#retry(delivery, settlement.delayMs);
        break;
      case "dead":
        this.#die(delivery, settlement.error, settlement.message, true);
        break;
      case "streamed":
        this.#streamed(delivery, settlement.routes);
        break;
    }
    this.#adopt();
    this.#changed();
    this.#signal();
    return gathering.promise;
  }

  onReady(listener: (() => void) | null): void {
    this.#listener = listener;
    if (listener !== null) this.#signal();
  }

  /** `lease` may have something again for a reason from outside: settlements can be committed again. */
  wake(): void {
    this.#signal();
  }

  // -------------------------------------------------------------------------------------------------- what happens

  /** A commit has appended these; `bySource` counts them. */
  appended(bySource: ReadonlyMap<string, number>, first: Seq, last: Seq): void {
    let owed = this.#admission.wants(bySource);
    for (const [source, count] of bySource) {
      const owners = this.#feeds.present(source);
      if (owners === undefined) continue;
      owed = true;
      for (const account of owners.accounts) account.accept(count);
    }
    if (owed) this.#signal();
    else {
      this.#inflow.pass(first, last);
      if (this.#unsettled.cursor(this.#inflow.next) - this.#written >= LAZY_CURSOR) this.#changed();
    }
    this.#lettingGo.goOn();
  }

  /** A person asked for a new delivery of an event. It is on disk; a stream's comes as an event (replay-event.ts). */
  replayed(routes: readonly string[], row: DeliveryRow | null): void {
    for (const account of this.#feeds.named(routes).accounts) account.acceptReplay();
    if (row !== null) this.#turns.free(this.#restore(row));
  }

  /** Dead letters are gone: keys that they kept go on. Who died since keeps its own. */
  freeHeld(freed: readonly { readonly key: string; readonly seq: Seq }[]): void {
    for (const { key, seq } of freed) this.#turns.release(key, seq);
  }

  /** A reload: from now on this definition, these spans. */
  change(
    definition: SubscriptionDefinition,
    routes: readonly RouteSpans[],
    active: boolean,
    until: Seq | null,
  ): void {
    // Added back: it may have run ahead over what nobody owed.
    const resumed = active && !this.#active && this.#inflow.until !== null;
    const place = this.#inflow.next - 1;
    const start = resumed ? resumeAt(place, this.#inflow.until!, routes) : place;
    this.#feeds.change(routes, definition.kind === "pushed");
    this.#inflow.until = until;
    this.#inflow.reset(start + 1);
    this.#written = Math.min(this.#written, start);
    this.#active = active;
    this.#waiting = definition;
    // While anything is leased, only what keeps its meaning may change at once.
    this.#adopt();
    this.#lettingGo.goOn();
    this.#signal();
  }

  /** See LettingGo. `unread`: only what was not read yet. Resolves with how many were let go, once that is on disk. */
  letGo(job: Job, unread = false): Promise<number> {
    return this.#lettingGo.start(job, unread);
  }

  /** Expires what was read and has been free since before `time` (ms since 1970) without being settled. */
  letGoOld(time: number, reason: string): void {
    this.#lettingGo.old(time, reason);
  }

  // ------------------------------------------------------------------------------------------------------- commits

  takeDelta(): Gathered | null {
    this.#dirty = false;
    const gathering = this.#gathering;
    const cursor = this.#unsettled.advance(gathering, this.#inflow.next);
    const far = this.#flush ? 1 : LAZY_CURSOR;
    if (!gathering.some && cursor - this.#written < far) return null;
    this.#flush = false;
    this.#written = Math.max(cursor, this.#written);
    this.#gathering = new DeltaBuilder();
    return gathering.build(this.id, this.#written);
  }

  restoreDelta(taken: TakenDelta): void {
    this.#gathering.prepend(gathered(taken));
  }

  committed(taken: TakenDelta): void {
    const { delta, retries, waiting, settlements } = gathered(taken);
    for (const moves of delta.accounts) {
      // Settled under the route's former name: a pushed subscription has one account.
      (this.#feeds.account(moves.route) ?? this.#feeds.only)?.committed(moves);
    }
    this.#uncommitted -= settlements;
    for (const delivery of retries) this.#retryCommitted(delivery);
    if (delta.suspect !== null) this.#singly?.recorded(delta.suspect);
    for (const { resolve } of waiting) resolve();
    this.#signal();
  }

  lost(taken: TakenDelta | null, error: Error): void {
    this.#lost = error;
    this.#turns.close();
    this.#inflow.close();
    if (taken !== null) for (const { reject } of gathered(taken).waiting) reject(error);
    this.#gathering.fail(error);
  }

  /**
   * Writes the cursor though it has passed nothing that was owed: what it holds back from retention is what is owed, also
   * where nobody leases (a removed route, a paused sink).
   */
  flush(): void {
    if (this.#inflow.behind && this.#settledAll()) this.#inflow.skip();
    if (this.#unsettled.cursor(this.#inflow.next) <= this.#written) return;
    this.#flush = true;
    this.#changed();
  }

  close(): void {
    this.#listener = null;
    this.#turns.close();
    this.#inflow.close();
  }

  // --------------------------------------------------------------------------------------------------------- views

  counts(): readonly { route: string; counts: Counts; replays: Counts }[] {
    const { accounts } = this.#feeds.all();
    return accounts.map(({ route, counts, replays }) => ({
      route,
      counts: { ...counts },
      replays: { ...replays },
    }));
  }

  lag(): { oldestAt: number; bytes: number } | null {
    const oldest = this.oldest();
    if (oldest === null) return null;
    const at = this.#unsettled.get(oldest)?.event?.time ?? this.#host.feed.peek(oldest)?.time;
    return {
      oldestAt: at ?? this.#backlog?.at ?? this.#host.clock.wall(),
      bytes: this.#backlog?.bytes ?? 0,
    };
  }

  cursor(): Seq {
    return this.#unsettled.cursor(this.#inflow.next);
  }

  reread(after: Seq, since: number): Promise<Reread> {
    return reread(this.#host.feed, this.#admission, { after, since, through: this.cursor() });
  }

  unindexed(routes: readonly string[]): Unindexed | null {
    return this.#feeds.unindexed(routes);
  }

  indexed(routes: readonly string[], through: Seq): void {
    this.#feeds.indexed(routes, through);
    this.#gathering.indexed(routes, through);
    this.#changed();
  }

  /** What the journal holds from the oldest unsettled event on, as it was looked up last. */
  measured(backlog: { readonly at: number; readonly bytes: number } | null): void {
    this.#backlog = backlog;
  }

  /** The lowest seq that may be unsettled, replays apart; null: nothing is owed. */
  oldest(): Seq | null {
    const { behind, next } = this.#inflow;
    const owed = this.#feeds.accounts.some(({ counts }) => unsettled(counts) > 0);
    if (!owed && !(behind && this.#feeds.counts(next))) return null;
    const oldest = Math.min(this.#unsettled.oldest(), behind ? next : Number.POSITIVE_INFINITY);
    return Number.isFinite(oldest) ? oldest : null;
  }

  /** Nothing is owed, nothing waits for its commit, and nothing from before its start is unread. */
  #settledAll(): boolean {
    if (this.#feeds.counts(this.#inflow.next)) return false;
    return this.#feeds.accounts.every(({ counts, replays }) => unsettled(counts) + unsettled(replays) === 0);
  }

  // ------------------------------------------------------------------------------------------------- finding the next

  /** The next new delivery that may go at once; those that may not are parked or read on the way. */
  #fresh(): Delivery | null {
    while (this.reading && !this.#lettingGo.running) {
      // By seq: nothing goes while something before it waits for anything but its lease's end.
      if (this.#definition.order === "seq" && this.#unsettled.size > this.#leased) return null;
      const fresh = this.#inflow.take();
      if (fresh === null) return null;
      const delivery = this.#admit(fresh.event, fresh.owners);
      if (delivery !== null) return delivery;
    }
    return null;
  }

  /** Takes in a new event; null when it can't be leased now. */
  #admit(event: Event, owners: Owners): Delivery | null {
    const delivery = this.#admission.delivery(event, owners, this.#gathering);
    this.#lettingGo.interrupted();
    delivery.event = event;
    delivery.freeSince = event.time;
    this.#unsettled.add(delivery);
    if (!this.#turns.enter(delivery, this.#definition.order)) return null;
    if (this.#unfit(delivery)) return null;
    if (!this.#turns.want(delivery)) return null;
    if (delivery.replay === 0) return delivery;
    this.#loaded(delivery);
    return null;
  }

  #loaded(delivery: Delivery): void {
    const unwrapped = this.#admission.unwrap(delivery);
    if (unwrapped && delivery.event !== null && !this.#turns.want(delivery)) {
      this.#turns.prefetch();
      return;
    }
    if (!this.#unfit(delivery)) this.#turns.ready(delivery);
    this.#turns.prefetch();
    this.#signal();
  }

  /** What can't be attempted is dead at once. */
  #unfit(delivery: Delivery): boolean {
    const { event, seq } = delivery;
    if (event === null) this.#die(delivery, "event_missing", "The event is no longer in the journal.", false);
    else if (event.type === DAMAGED_TYPE) {
      this.#die(delivery, "damaged_row", "The event's row in the journal fails its checksum.", false);
    } else if (this.#singly?.crashed.has(seq)) {
      this.#gathering.clear(seq);
      this.#die(delivery, "crashed", "Leat stopped uncleanly three times while it worked on it.", false);
    } else return false;
    this.#changed();
    return true;
  }

  #leaseSingly(singly: Singly, max: number): Lease[] {
    if (this.#leased > 0 || max < 1) return [];
    if (singly.candidate !== null) {
      const recorded = singly.take();
      return recorded === null ? [] : [this.#hand(recorded)];
    }
    const candidate = this.#turns.next() ?? this.#fresh();
    this.#turns.prefetch();
    if (candidate !== null) {
      candidate.state = "suspect";
      singly.propose(candidate);
      this.#gathering.suspect = candidate.seq;
      this.#gathering.some = true;
      this.#changed();
    } else if (this.#turns.idle) singly.noRows();
    return [];
  }

  /** What was to be evaluated next is not, for now. */
  #withdraw(): void {
    const candidate = this.#singly?.withdraw() ?? null;
    if (candidate === null) return;
    candidate.state = "ready";
    this.#gathering.clear(candidate.seq);
    this.#changed();
  }

  #hand(delivery: Delivery): Lease {
    delivery.state = "leased";
    for (const account of delivery.owners.accounts) account.lease(delivery.replay > 0, delivery.retried);
    this.#leased++;
    delivery.lease = new DeliveryLease(delivery, delivery.event!);
    return delivery.lease;
  }

  // ------------------------------------------------------------------------------------------------------ settling

  #end(lease: Lease): Delivery {
    if (!(lease instanceof DeliveryLease) || lease.delivery.lease !== lease) {
      throw new Error(`The lease of ${lease.event.seq} was ended before.`);
    }
    lease.delivery.lease = null;
    this.#leased--;
    return lease.delivery;
  }

  #finish(delivery: Delivery, outcome: Outcome, leased: boolean): void {
    for (const { route } of delivery.owners.accounts) {
      this.#gathering.settled(route, delivery, outcome, leased);
    }
    this.#forget(delivery);
    this.#turns.leave(delivery);
  }

  #streamed(delivery: Delivery, routes: Extract<Settlement, { outcome: "streamed" }>["routes"]): void {
    for (const [index, route] of delivery.owners.routes.entries()) {
      const settled = routes[index] ?? { outcome: "filtered" };
      this.#gathering.settled(route, delivery, settled.outcome, true);
      if (settled.outcome === "dead") this.#bury(delivery, route, settled.error, settled.message, null);
    }
    this.#forget(delivery);
  }

  #die(delivery: Delivery, error: string, message: string, leased: boolean): void {
    const { key, replay, seq } = delivery;
    const { order, onDead } = this.#definition;
    const held = order === "key" && onDead === "hold" && replay === 0 ? key : null;
    for (const route of delivery.owners.routes) {
      this.#gathering.settled(route, delivery, "dead", leased);
      this.#bury(delivery, route, error, message, held);
    }
    this.#forget(delivery);
    if (held !== null) this.#turns.hold(held, seq);
    else this.#turns.leave(delivery);
  }

  #bury(delivery: Delivery, route: string, error: string, message: string, holds: string | null): void {
    const { seq, replay, attempts } = delivery;
    const at = this.#host.clock.wall();
    this.#gathering.dead({ seq, replay, route, at, error, message, attempts, holds });
  }

  #retry(delivery: Delivery, delayMs: number): void {
    const { clock } = this.#host;
    const { seq, replay, key, attempts, firstAttemptAt } = delivery;
    for (const { route } of delivery.owners.accounts) this.#gathering.retried(route, delivery);
    delivery.historic = null;
    delivery.retried = true;
    delivery.state = "settling";
    delivery.due = clock.monotonic() + delayMs;
    delivery.event = null;
    delivery.cause = null;
    const due = Math.ceil(clock.wall() + delayMs);
    const delay = Math.ceil(delayMs);
    this.#gathering.put({ seq, replay, state: "retrying", key, attempts, firstAttemptAt, due, delay });
    this.#gathering.retry(delivery);
    this.#unsettled.giveRow(delivery);
  }

  /** A retry's settlement is on disk: now it waits for its time. */
  #retryCommitted(delivery: Delivery): void {
    // A reload that brought an order may have put it behind its key meanwhile.
    const parked = delivery.state === "parked";
    if (delivery.letGo) {
      if (parked) this.#turns.unpark(delivery);
      this.#purge(delivery, false);
    } else if (!parked) {
      delivery.state = "retrying";
      this.#turns.wait(delivery);
    }
  }

  /** A replay of the dead letter that keeps a key went well. */
  #freeByReplay({ key, seq }: Delivery): void {
    if (key === null) return;
    this.#gathering.free(seq);
    this.#turns.release(key, seq);
  }

  /** Settled without an attempt while it waited. */
  #drop(delivery: Delivery, outcome: Job["outcome"]): void {
    if (delivery.state === "suspect") this.#withdraw();
    else if (delivery.state === "parked") this.#turns.unpark(delivery);
    this.#finish(delivery, outcome, false);
  }

  /** It was in flight when its subscription was purged. */
  #purge(delivery: Delivery, leased: boolean): void {
    if (delivery.replay === 0) this.#gathering.expire(delivery.seq, "purged", false);
    this.#finish(delivery, "purged", leased);
    this.#changed();
  }

  #forget(delivery: Delivery): void {
    this.#unsettled.settle(delivery, this.#gathering);
    this.#lettingGo.interrupted();
  }

  // ------------------------------------------------------------------------------------------- start and definition

  #restore(row: DeliveryRow): Delivery {
    const { clock } = this.#host;
    const delivery = new Delivery(row.seq, row.replay, row.key, this.#feeds.all());
    delivery.attempts = row.attempts;
    delivery.firstAttemptAt = row.firstAttemptAt;
    delivery.retried = row.state === "retrying" && row.attempts > 0;
    delivery.state = row.state === "retrying" ? "retrying" : "parked";
    delivery.freeSince = row.firstAttemptAt ?? clock.wall();
    // A clock that was set back, or forward, must not make it wait longer than it was meant to.
    const wait = Math.min(row.due === null ? 0 : row.due - clock.wall(), row.delay ?? 0);
    delivery.due = clock.monotonic() + Math.max(0, wait);
    this.#unsettled.load(delivery);
    return delivery;
  }

  /** Takes on a new definition once nothing is in flight that the old one still rules. */
  #adopt(): void {
    const definition = this.#waiting;
    if (definition === null) return;
    const { order, kind } = this.#definition;
    const reordered = definition.order !== order || definition.kind !== kind;
    if (reordered && this.#leased > 0) return;
    this.#waiting = null;
    this.#definition = definition;
    this.#turns.concurrency = definition.concurrency;
    if (!reordered) return;
    this.#withdraw();
    this.#turns.arrange(this.#unsettled.inOrder(), definition.order);
  }

  // -------------------------------------------------------------------------------------------------------- telling

  #changed(): void {
    if (this.#dirty || this.#lost !== null) return;
    this.#dirty = true;
    this.#host.sink.dirty(this);
  }

  #signal(): void {
    if (this.#signalled || this.#listener === null) return;
    this.#signalled = true;
    queueMicrotask(() => {
      this.#signalled = false;
      this.#listener?.();
    });
  }
}

function unsettled({ pending, inFlight, retrying }: Counts): number {
  return pending + inFlight + retrying;
}

function gathered(taken: TakenDelta): Gathered {
  if (!("retries" in taken && "waiting" in taken)) throw new Error("not a delta of a subscription");
  return taken as Gathered;
}
