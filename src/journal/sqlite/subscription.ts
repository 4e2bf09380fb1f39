import type { Seq } from "../../event.ts";
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
import type { Account } from "./account.ts";
import { Admission } from "./admission.ts";
import { Choosing } from "./choosing.ts";
import { Delivery, DeliveryLease } from "./delivery.ts";
import type { DeltaSink, DeltaSource, TakenDelta } from "./delta.ts";
import type { Gathered } from "./delta-builder.ts";
import type { BacklogMarks, EventFeed } from "./event-feed.ts";
import { Feeds, type RouteSpans } from "./feeds.ts";
import type { DeliveryRow } from "./group.ts";
import { Inflow } from "./inflow.ts";
import type { StoredSubscription } from "./ledger-store.ts";
import { type Job, LettingGo } from "./letting-go.ts";
import { Outbox } from "./outbox.ts";
import { resumeAt } from "./reconcile.ts";
import { reread } from "./reread.ts";
import { Settling } from "./settling.ts";
import { Singly } from "./singly.ts";
import { Turns } from "./turns.ts";
import { Unsettled } from "./unsettled.ts";

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
 * New events come by Inflow and pass Admission; Choosing finds the next among them and what Turns has waiting; Settling
 * ends it; Unsettled knows rows and cursor; the Outbox keeps what was settled until the committer takes it. Any state but
 * `leased` may end by LettingGo.
 */
export class LiveSubscription implements Subscription, DeltaSource {
  readonly id: number;
  readonly #host: SubscriptionHost;
  readonly #feeds: Feeds;
  readonly #admission: Admission;
  readonly #inflow: Inflow;
  readonly #turns: Turns;
  readonly #unsettled = new Unsettled();
  readonly #outbox: Outbox;
  readonly #settling: Settling;
  readonly #lettingGo: LettingGo;
  readonly #choosing: Choosing;
  #definition: SubscriptionDefinition;
  /** A definition whose order or kind differs waits for what is in flight. */
  #waiting: SubscriptionDefinition | null = null;
  #active: boolean;
  #leased = 0;
  #listener: (() => void) | null = null;
  #signalled = false;
  #backlog: { readonly at: number; readonly bytes: number } | null = null;

  constructor(loaded: LoadedSubscription, host: SubscriptionHost) {
    const { clock, feed } = host;
    this.id = loaded.id;
    this.#host = host;
    this.#definition = loaded.definition;
    this.#active = loaded.active;
    this.#feeds = new Feeds(loaded.routes, loaded.accounts);
    const unsettled = this.#unsettled;
    const present = () => this.#definition;
    const admission = new Admission(this.#feeds, present);
    this.#admission = admission;
    const inflow = new Inflow(loaded.cursor + 1, feed, admission, clock, () => {
      this.#lettingGo.goOn();
      this.#signal();
    });
    this.#inflow = inflow;
    inflow.until = loaded.until;
    const outbox = new Outbox(loaded.id, loaded.cursor, {
      unsettled,
      next: () => inflow.next,
      dirty: () => host.sink.dirty(this),
    });
    this.#outbox = outbox;
    const turns = new Turns({
      clock,
      feed,
      loaded: (delivery) => this.#choosing.loaded(delivery),
      woke: () => this.#signal(),
    });
    this.#turns = turns;
    const settling = new Settling({
      clock,
      outbox,
      turns,
      unsettled,
      definition: present,
      interrupted: () => this.#lettingGo.interrupted(),
    });
    this.#settling = settling;
    const lettingGo = new LettingGo(inflow, unsettled, {
      gathering: () => outbox.gathering,
      delivery: (event, owners) => admission.delivery(event, owners, outbox.gathering),
      admit: (event, owners) => {
        const delivery = this.#choosing.admit(event, owners);
        if (delivery !== null) turns.ready(delivery);
      },
      settle: (delivery, outcome) => {
        if (delivery.state === "suspect") this.#choosing.withdraw();
        settling.drop(delivery, outcome);
      },
      changed: () => outbox.changed(),
      bySeq: () => present().order === "seq",
    });
    this.#lettingGo = lettingGo;
    this.#choosing = new Choosing({
      admission,
      inflow,
      turns,
      unsettled,
      lettingGo,
      settling,
      outbox,
      definition: present,
      leased: () => this.#leased,
      ready: () => this.#signal(),
    });
    turns.concurrency = loaded.definition.concurrency;
    for (const { key, seq } of loaded.held) turns.hold(key, seq);
    for (const row of loaded.rows) this.#restore(row);
    const free = turns.arrange(unsettled.inOrder(), loaded.definition.order);
    if (host.uncleanAt === null) return;
    const { concurrency } = loaded.definition;
    this.#choosing.singly = new Singly(host.uncleanAt, free, concurrency, loaded.crashed);
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

  /** As `Choosing.reading`. */
  get reading(): boolean {
    return this.#choosing.reading;
  }

  // ------------------------------------------------------------------------------------------------------- leasing

  lease(max: number): Lease[] {
    const leases: Lease[] = [];
    if (!this.#active || this.#waiting !== null || this.#host.sink.stalled) return leases;
    if (this.#outbox.full) return leases;
    const { singly } = this.#choosing;
    if (singly?.over(this.#inflow.next) === false) {
      const alone = this.#leased > 0 || max < 1 ? null : this.#choosing.nextSingly(singly);
      return alone === null ? [] : [this.#hand(alone)];
    }
    const limit = Math.min(max, this.#definition.concurrency - this.#leased);
    while (leases.length < limit) {
      const delivery = this.#choosing.next();
      if (delivery === null) break;
      leases.push(this.#hand(delivery));
    }
    this.#turns.prefetch();
    return leases;
  }

  release(lease: Lease): void {
    const delivery = this.#end(lease);
    for (const account of delivery.owners.accounts) account.release(delivery.replay > 0, delivery.retried);
    if (delivery.letGo) this.#settling.purge(delivery, false);
    else if (this.#choosing.singly?.giveBack(delivery) === true) delivery.state = "suspect";
    else this.#turns.putBack(delivery, this.#definition.order);
    this.#adopt();
    this.#signal();
  }

  settle(lease: Lease, settlement: Settlement): Promise<void> {
    const delivery = this.#end(lease);
    const { gathering, lost } = this.#outbox;
    if (lost !== null) return Promise.reject(lost);
    const { attempt } = settlement;
    if (attempt !== null) {
      delivery.attempts++;
      delivery.firstAttemptAt ??= attempt.at;
      gathering.attempt({ seq: delivery.seq, replay: delivery.replay, n: delivery.attempts, ...attempt });
    }
    if (settlement.raises !== undefined) gathering.raise(settlement.raises);
    if (this.#choosing.singly?.settled() === true) gathering.clear(delivery.seq);
    this.#settling.settle(delivery, settlement);
    this.#adopt();
    const committed = this.#outbox.settled();
    this.#signal();
    return committed;
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
      this.#outbox.passed();
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
    this.#outbox.goOnAt(start);
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
    return this.#outbox.take();
  }

  restoreDelta(taken: TakenDelta): void {
    this.#outbox.restore(taken);
  }

  committed(taken: TakenDelta): void {
    const { delta, retries, waiting } = this.#outbox.committed(taken);
    for (const moves of delta.accounts) {
      // Settled under the route's former name: a pushed subscription has one account.
      (this.#feeds.account(moves.route) ?? this.#feeds.only)?.committed(moves);
    }
    for (const delivery of retries) this.#settling.retryCommitted(delivery);
    if (delta.suspect !== null) this.#choosing.singly?.recorded(delta.suspect);
    for (const { resolve } of waiting) resolve();
    this.#signal();
  }

  lost(taken: TakenDelta | null, error: Error): void {
    this.#turns.close();
    this.#inflow.close();
    this.#outbox.fail(taken, error);
  }

  /**
   * Writes the cursor though it has passed nothing that was owed: what it holds back from retention is what is owed, also
   * where nobody leases (a removed route, a paused sink).
   */
  flush(): void {
    if (this.#inflow.behind && this.#settledAll()) this.#inflow.skip();
    this.#outbox.flush();
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

  lapsed(before?: Seq): Seq {
    return this.#lettingGo.lapsed(before);
  }

  reread(after: Seq, since: number): Promise<Reread> {
    return reread(this.#host.feed, this.#admission, { after, since, through: this.cursor() });
  }

  unindexed(routes: readonly string[]): Unindexed | null {
    return this.#feeds.unindexed(routes);
  }

  indexed(routes: readonly string[], through: Seq): void {
    this.#feeds.indexed(routes, through);
    this.#outbox.gathering.indexed(routes, through);
    this.#outbox.changed();
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

  // --------------------------------------------------------------------------------------------------------- leases

  #hand(delivery: Delivery): Lease {
    delivery.state = "leased";
    for (const account of delivery.owners.accounts) account.lease(delivery.replay > 0, delivery.retried);
    this.#leased++;
    delivery.lease = new DeliveryLease(delivery, delivery.event!);
    return delivery.lease;
  }

  #end(lease: Lease): Delivery {
    if (!(lease instanceof DeliveryLease) || lease.delivery.lease !== lease) {
      throw new Error(`The lease of ${lease.event.seq} was ended before.`);
    }
    lease.delivery.lease = null;
    this.#leased--;
    return lease.delivery;
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
    this.#choosing.withdraw();
    this.#turns.arrange(this.#unsettled.inOrder(), definition.order);
  }

  // -------------------------------------------------------------------------------------------------------- telling

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
