import { type Event, LEAT_SOURCE, type Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { Counts, Lease, Settlement, Subscription, SubscriptionDefinition } from "../journal.ts";
import type { Account, Outcome } from "./account.ts";
import { Delivery, DeliveryLease, type RowKey, rowKey } from "./delivery.ts";
import type { DeltaSink, DeltaSource, TakenDelta } from "./delta.ts";
import { DeltaBuilder, type Gathered } from "./delta-builder.ts";
import type { EventFeed } from "./event-feed.ts";
import { DAMAGED_TYPE } from "./event-row.ts";
import { Feeds, type Owners, type RouteSpans } from "./feeds.ts";
import { Fifo } from "./fifo.ts";
import type { DeliveryRow } from "./group.ts";
import { Inflow, type Wanted } from "./inflow.ts";
import { Lanes } from "./lanes.ts";
import { Loading } from "./loading.ts";
import { resumeAt } from "./reconcile.ts";
import { replayedBy } from "./replay-event.ts";
import { RetryQueue } from "./retry-queue.ts";
import { Singly } from "./singly.ts";

/** Deliveries parked behind their keys, and deliveries with rows of any kind, before nothing new is read. */
const MAX_PARKED = 10_000;
const MAX_ROWS = 50_000;
/** Bodies of parked deliveries that stay in memory; beyond it they are read again when their turn comes. */
const PARKED_BYTES = 4 * 1024 * 1024;
/** Settlements that may wait for their commit before no new delivery starts. */
const MAX_UNCOMMITTED = 20_000;
/** How far the cursor on disk may lag behind events that nobody owes. */
const LAZY_CURSOR = 1024;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A subscription as the writer hands it over at start, or when a reload has added it. */
export interface LoadedSubscription {
  readonly id: number;
  readonly definition: SubscriptionDefinition;
  readonly active: boolean;
  readonly routes: readonly RouteSpans[];
  readonly cursor: Seq;
  readonly until: Seq | null;
  readonly accounts: readonly Account[];
  readonly rows: readonly DeliveryRow[];
  /** Keys kept by a dead letter (`on_dead: hold`), and which. */
  readonly held: readonly { readonly key: string; readonly seq: Seq }[];
  /** Found as suspect at three unclean stops. */
  readonly crashed: readonly Seq[];
}

export interface SubscriptionHost {
  readonly clock: Clock;
  readonly feed: EventFeed;
  readonly sink: DeltaSink;
  /** The last process ended without closing: the newest seq at its end, else null. */
  readonly uncleanAt: Seq | null;
}

interface LettingGo {
  readonly through: Seq;
  readonly outcome: "expired" | "purged";
  readonly reason: string;
  count: number;
  readonly done: PromiseWithResolvers<number>;
}

/**
 * One subscription, in the main thread: synchronous, without I/O of its own.
 *
 *     new ──► ready ──► leased ──► gone             settled: filtered, delivered, dead
 *      │        ▲         │
 *      │        │         ├──► ready                released
 *      │        │         └──► settling ──► retrying
 *      │        │                │             │    its time has come (a retry waits from its commit on)
 *      │        └── loading ◄────┼─────────────┘    its event is read again
 *      └──► parked ──► loading   │                  its key's head is settled
 *
 * What is new lies beyond `next` (Inflow). What is between the cursor and `next` and unsettled is in `open`, in seq
 * order; what the cursor has passed, what waits for a retry, and replays are in `rows`, each with a row on disk.
 *
 * The cursor, worked out when a delta is taken, stands before the first of `open`; if anything behind that is settled, it
 * passes to there and what it passes gets rows: at most `concurrency` that are in flight, and what is parked. So counts
 * on disk, cursor and rows always tell the same.
 */
export class LiveSubscription implements Subscription, DeltaSource {
  readonly id: number;
  readonly #host: SubscriptionHost;
  readonly #feeds: Feeds;
  readonly #inflow: Inflow;
  readonly #loading: Loading;
  readonly #singly: Singly | null;
  #definition: SubscriptionDefinition;
  /** A definition whose order or kind differs waits for what is in flight. */
  #waiting: SubscriptionDefinition | null = null;
  #active: boolean;
  readonly #open = new Map<Seq, Delivery>();
  readonly #rows = new Map<RowKey, Delivery>();
  readonly #lanes = new Lanes();
  #ready = new Fifo<Delivery>();
  #retries = new RetryQueue();
  #leased = 0;
  #uncommitted = 0;
  #parkedBytes = 0;
  /** The highest seq settled, or given a row, beyond the cursor. */
  #settledTo: Seq = 0;
  /** The cursor of the last delta taken. */
  #written: Seq;
  #flush = false;
  #gathering = new DeltaBuilder();
  #dirty = false;
  #lost: Error | null = null;
  #listener: (() => void) | null = null;
  #signalled = false;
  #timer: { readonly due: number; readonly cancel: () => void } | null = null;
  #backlog: { readonly at: number; readonly bytes: number } | null = null;
  #lettingGo: LettingGo | null = null;
  /** The last seq that was let go without being read before: expired ranges join only there. */
  #joined: Seq = 0;

  constructor(loaded: LoadedSubscription, host: SubscriptionHost) {
    const { clock, feed } = host;
    this.id = loaded.id;
    this.#host = host;
    this.#definition = loaded.definition;
    this.#active = loaded.active;
    this.#written = loaded.cursor;
    this.#feeds = new Feeds(loaded.routes, loaded.accounts);
    const wanted: Wanted = { sources: () => this.#sources, owners: (event) => this.#owners(event) };
    this.#inflow = new Inflow(loaded.cursor + 1, feed, wanted, clock, () => this.#arrived());
    this.#inflow.until = loaded.until;
    this.#loading = new Loading(feed, clock, (delivery) => this.#loaded(delivery));
    for (const { key, seq } of loaded.held) this.#lanes.hold(key, seq);
    for (const row of loaded.rows) this.#restore(row);
    const free = this.#arrange();
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

  get routes(): readonly RouteSpans[] {
    return this.#feeds.routes;
  }

  // ------------------------------------------------------------------------------------------------------- leasing

  lease(max: number): Lease[] {
    const leases: Lease[] = [];
    if (!this.#active || this.#waiting !== null || this.#host.sink.stalled) return leases;
    if (this.#uncommitted >= MAX_UNCOMMITTED) return leases;
    if (this.#singly?.over(this.#inflow.next) === false) return this.#leaseSingly(this.#singly, max);
    const limit = Math.min(max, this.#definition.concurrency - this.#leased);
    while (leases.length < limit) {
      const delivery = this.#nextReady();
      if (delivery === null) break;
      leases.push(this.#hand(delivery));
    }
    this.#prefetch();
    return leases;
  }

  release(lease: Lease): void {
    const delivery = this.#end(lease);
    for (const account of delivery.owners.accounts) account.release(delivery.replay > 0, delivery.retried);
    if (delivery.letGo) {
      this.#purge(delivery, false);
      this.#changed();
    } else if (this.#singly?.giveBack(delivery) === true) delivery.state = "suspect";
    else {
      delivery.state = "ready";
      this.#putBack(delivery);
    }
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
    let owed = false;
    for (const [source, count] of bySource) {
      const owners = this.#feeds.present(source);
      if (owners === undefined) continue;
      owed = true;
      for (const account of owners.accounts) account.accept(count);
    }
    if (this.#definition.kind === "stream" && bySource.has(LEAT_SOURCE)) owed = true;
    if (owed) this.#signal();
    else {
      this.#inflow.pass(first, last);
      if (this.#cursor() - this.#written >= LAZY_CURSOR) this.#changed();
    }
    if (this.#lettingGo !== null) this.#letGoOn();
  }

  /** A person asked for a new delivery of an event. It is on disk; a stream's comes as an event (replay-event.ts). */
  replayed(routes: readonly string[], row: DeliveryRow | null): void {
    for (const account of this.#feeds.named(routes).accounts) account.acceptReplay();
    if (row !== null) this.#free(this.#restore(row));
  }

  /** Dead letters are gone: keys that they kept go on. */
  freeHeld(): void {
    for (const { key } of this.#lanes.held()) this.#freed(this.#lanes.free(key, null));
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
    this.#feeds.change(routes);
    this.#inflow.until = until;
    this.#inflow.reset(start + 1);
    this.#written = Math.min(this.#written, start);
    this.#active = active;
    this.#waiting = definition;
    // While anything is leased, only what keeps its meaning may change at once.
    this.#adopt();
    this.#signal();
  }

  /**
   * Settles without an attempt what is unsettled up to `through` and not in flight: a backlog beyond its bound, or a
   * person's purge (then replays too). `unread`: only what was not read yet. Resolves with how many, once on disk.
   */
  letGo(through: Seq, outcome: "expired" | "purged", reason: string, unread = false): Promise<number> {
    const before = this.#lettingGo;
    if (before !== null) {
      return before.done.promise.then(() => this.letGo(through, outcome, reason, unread));
    }
    const letting = { through, outcome, reason, count: 0, done: Promise.withResolvers<number>() };
    this.#lettingGo = letting;
    for (const deliveries of unread ? [] : [this.#rows, this.#open]) {
      for (const delivery of deliveries.values()) {
        if (delivery.seq > through || (delivery.replay > 0 && outcome !== "purged")) continue;
        this.#drop(delivery, letting);
      }
    }
    this.#letGoOn();
    return letting.done.promise;
  }

  /** The same for what has been free for longer than `ageMs` while nothing was done about it, as far as it was read. */
  letGoOld(before: number, reason: string): void {
    if (this.#lettingGo !== null) return;
    const letting: LettingGo = {
      through: 0,
      outcome: "expired",
      reason,
      count: 0,
      done: Promise.withResolvers(),
    };
    for (const deliveries of [this.#rows, this.#open]) {
      for (const delivery of deliveries.values()) {
        const waits = delivery.state === "parked" || delivery.replay > 0;
        if (!waits && delivery.freeSince < before) this.#drop(delivery, letting);
      }
    }
    if (letting.count > 0) this.#changed();
  }

  /** False while so much waits that nothing new is read: then what is unread isn't late by its own fault. */
  get reading(): boolean {
    return !this.#full;
  }

  // ------------------------------------------------------------------------------------------------------- commits

  takeDelta(): Gathered | null {
    this.#dirty = false;
    const gathering = this.#gathering;
    const cursor = this.#advance();
    if (!gathering.some && !(this.#flush && cursor > this.#written) && cursor - this.#written < LAZY_CURSOR) {
      return null;
    }
    this.#flush = false;
    this.#written = Math.max(cursor, this.#written);
    this.#gathering = new DeltaBuilder();
    return gathering.build(this.id, this.#written);
  }

  restoreDelta(taken: TakenDelta): void {
    this.#gathering.prepend(gathered(taken));
  }

  committed(taken: TakenDelta): void {
    const { delta, retries, waiting } = gathered(taken);
    for (const moves of delta.accounts) {
      this.#feeds.account(moves.route)?.committed(moves);
      this.#uncommitted -= moves.endedPending + moves.endedRetrying;
    }
    this.#uncommitted = Math.max(0, this.#uncommitted);
    for (const delivery of retries) this.#wait(delivery);
    if (retries.length > 0) this.#arm();
    if (delta.suspect !== null) this.#singly?.recorded(delta.suspect);
    for (const { resolve } of waiting) resolve();
    this.#signal();
  }

  lost(taken: TakenDelta | null, error: Error): void {
    this.#lost = error;
    this.#timer?.cancel();
    if (taken !== null) for (const { reject } of gathered(taken).waiting) reject(error);
    this.#gathering.fail(error);
  }

  /** Writes the cursor though it has passed nothing that was owed. */
  flush(): void {
    if (this.#cursor() <= this.#written) return;
    this.#flush = true;
    this.#changed();
  }

  close(): void {
    this.#listener = null;
    this.#timer?.cancel();
    this.#timer = null;
  }

  // --------------------------------------------------------------------------------------------------------- views

  counts(): readonly { route: string; counts: Counts; replays: Counts }[] {
    return this.#feeds.all().accounts.map(({ route, counts, replays }) => ({
      route,
      counts: { ...counts },
      replays: { ...replays },
    }));
  }

  lag(): { oldestAt: number; bytes: number } | null {
    const oldest = this.oldest();
    if (oldest === null) return null;
    const at = this.#open.get(oldest)?.event?.time ?? this.#host.feed.peek(oldest)?.time;
    return {
      oldestAt: at ?? this.#backlog?.at ?? this.#host.clock.wall(),
      bytes: this.#backlog?.bytes ?? 0,
    };
  }

  /** What the journal holds from the oldest unsettled event on, as it was looked up last. */
  measured(backlog: { readonly at: number; readonly bytes: number } | null): void {
    this.#backlog = backlog;
  }

  /** A seq that nothing unsettled (replays apart) lies below: the lowest one, or the next to be read; null: nothing is owed. */
  oldest(): Seq | null {
    const owed = this.#feeds.accounts.some(
      (a) => a.counts.pending + a.counts.inFlight + a.counts.retrying > 0,
    );
    if (!owed && !(this.#inflow.behind && this.#feeds.counts(this.#inflow.next))) return null;
    let oldest = this.#inflow.behind ? this.#inflow.next : Number.POSITIVE_INFINITY;
    const first = this.#open.keys().next();
    if (first.done !== true) oldest = Math.min(oldest, first.value);
    for (const { seq, replay } of this.#rows.values()) if (replay === 0) oldest = Math.min(oldest, seq);
    return Number.isFinite(oldest) ? oldest : null;
  }

  // ------------------------------------------------------------------------------------------------- finding the next

  get #sources(): readonly string[] {
    const { sources } = this.#feeds;
    return this.#definition.kind === "stream" ? [...sources, LEAT_SOURCE] : sources;
  }

  #owners(event: Event): Owners | undefined {
    const owners = this.#feeds.owners(event.source, event.seq);
    if (this.#definition.kind !== "stream") return owners;
    const replay = replayedBy(event, this.#definition.name);
    return replay === null ? owners : this.#feeds.named(replay.routes);
  }

  get #full(): boolean {
    return this.#lanes.parked >= MAX_PARKED || this.#rows.size >= MAX_ROWS;
  }

  #nextReady(): Delivery | null {
    for (;;) {
      const delivery = this.#ready.shift() ?? this.#fresh();
      if (delivery?.state !== "gone") return delivery;
    }
  }

  /** The next new delivery that may go at once; those that may not are parked or read on the way. */
  #fresh(): Delivery | null {
    while (!this.#full && this.#lettingGo === null) {
      // By seq: nothing goes while something before it waits for anything but its lease's end.
      if (this.#definition.order === "seq" && this.#open.size + this.#rows.size > this.#leased) return null;
      const fresh = this.#inflow.take();
      if (fresh === null) return null;
      const delivery = this.#admit(fresh.event, fresh.owners);
      if (delivery !== null) return delivery;
    }
    return null;
  }

  /** Takes in a new event; null when it can't be leased now. */
  #admit(event: Event, owners: Owners): Delivery | null {
    const delivery = this.#read(event, owners);
    this.#joined = 0;
    delivery.event = event;
    delivery.freeSince = event.time;
    this.#open.set(event.seq, delivery);
    if (this.#definition.order === "key" && !this.#lanes.enter(delivery)) {
      this.#park(delivery);
      return null;
    }
    if (this.#unfit(delivery)) return null;
    if (!this.#loading.want(delivery)) return null;
    if (delivery.replay === 0) return delivery;
    this.#loaded(delivery);
    return null;
  }

  /** A delivery of an event that was read for the first time. */
  #read(event: Event, owners: Owners): Delivery {
    const { kind, name } = this.#definition;
    const replay = kind === "stream" ? (replayedBy(event, name)?.replay ?? 0) : 0;
    const delivery = new Delivery(event.seq, replay, event.key, owners);
    if (replay > 0) this.#unmatched(event);
    else delivery.historic = this.#feeds.historic(event.source, event.seq);
    for (const route of delivery.historic ?? []) this.#feeds.account(route)?.accept(1);
    return delivery;
  }

  /** Where a stream is fed by `leat` itself, its replays' events are no events of that. */
  #unmatched(event: Event): void {
    const delivery = new Delivery(event.seq, 0, null, this.#feeds.all());
    for (const route of this.#feeds.owners(event.source, event.seq)?.routes ?? []) {
      this.#gathering.settled(route, delivery, "filtered", false);
    }
  }

  /** True: it stands for another event, which has to be read first. */
  #unwrap(delivery: Delivery): boolean {
    const { event, cause, seq, replay } = delivery;
    if (this.#definition.kind !== "stream" || event === null) return false;
    const wraps = replayedBy(event, this.#definition.name) !== null;
    // Of one that was loaded from its row, only now is known who owes it.
    if (wraps || replay === 0) delivery.owners = this.#owners(event) ?? delivery.owners;
    if (!wraps) return false;
    delivery.event = cause === null ? null : { ...cause, seq };
    delivery.cause = null;
    return delivery.event !== null && !this.#loading.want(delivery);
  }

  #park(delivery: Delivery): void {
    delivery.state = "parked";
    const bytes = delivery.event?.body.byteLength ?? 0;
    if (this.#parkedBytes + bytes > PARKED_BYTES) delivery.event = null;
    else this.#parkedBytes += bytes;
  }

  /** Nothing is before it any more. */
  #free(delivery: Delivery): void {
    delivery.freeSince = this.#host.clock.wall();
    if (this.#loading.want(delivery)) this.#loaded(delivery);
    else this.#prefetch();
  }

  #freed(delivery: Delivery | null): void {
    if (delivery === null) return;
    this.#parkedBytes -= delivery.event?.body.byteLength ?? 0;
    this.#free(delivery);
  }

  #loaded(delivery: Delivery): void {
    if (this.#unwrap(delivery)) {
      this.#prefetch();
      return;
    }
    delivery.state = "ready";
    if (!this.#unfit(delivery)) this.#ready.push(delivery);
    this.#prefetch();
    this.#signal();
  }

  /** What can't be attempted is dead at once. */
  #unfit(delivery: Delivery): boolean {
    const { event } = delivery;
    if (event === null) this.#die(delivery, "event_missing", "The event is no longer in the journal.", false);
    else if (event.type === DAMAGED_TYPE) {
      this.#die(delivery, "damaged_row", "The event's row in the journal fails its checksum.", false);
    } else if (this.#singly?.crashed.has(delivery.seq)) {
      this.#gathering.clear(delivery.seq);
      this.#die(
        delivery,
        "crashed",
        "Leat stopped uncleanly three times while it worked on this event.",
        false,
      );
    } else return false;
    this.#changed();
    return true;
  }

  #prefetch(): void {
    this.#loading.pump(2 * this.#definition.concurrency - this.#ready.length);
  }

  #leaseSingly(singly: Singly, max: number): Lease[] {
    if (this.#leased > 0 || max < 1) return [];
    if (singly.candidate === null) {
      const candidate = this.#nextReady();
      this.#prefetch();
      if (candidate === null) {
        if (this.#loading.idle) singly.noRows();
        return [];
      }
      candidate.state = "suspect";
      singly.propose(candidate);
      this.#gathering.suspect = candidate.seq;
      this.#gathering.some = true;
      this.#changed();
      return [];
    }
    const recorded = singly.take();
    return recorded === null ? [] : [this.#hand(recorded)];
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

  /** Released: the next to be leased; by seq, should several be. */
  #putBack(delivery: Delivery): void {
    if (this.#definition.order !== "seq") {
      this.#ready.unshift(delivery);
      return;
    }
    const waiting = [delivery];
    for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) waiting.push(next);
    for (const each of waiting.sort((a, b) => a.seq - b.seq)) this.#ready.push(each);
  }

  #finish(delivery: Delivery, outcome: Outcome, leased: boolean): void {
    for (const { route } of delivery.owners.accounts) {
      this.#gathering.settled(route, delivery, outcome, leased);
    }
    this.#forget(delivery);
    this.#freed(this.#lanes.leave(delivery));
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
    if (held !== null) this.#lanes.hold(held, seq);
    else this.#freed(this.#lanes.leave(delivery));
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
    this.#pass(delivery);
  }

  /** A replay of the dead letter that keeps a key went well. */
  #freeByReplay({ key, seq }: Delivery): void {
    if (key === null) return;
    const next = this.#lanes.free(key, seq);
    this.#gathering.free(seq);
    this.#freed(next);
  }

  /** It was in flight when its subscription was purged. */
  #purge(delivery: Delivery, leased: boolean): void {
    if (delivery.replay === 0) this.#gathering.expire(delivery.seq, "purged", false);
    this.#finish(delivery, "purged", leased);
  }

  /** What was to be evaluated next is not, for now. */
  #withdraw(): void {
    const candidate = this.#singly?.withdraw() ?? null;
    if (candidate === null) return;
    candidate.state = "ready";
    this.#gathering.clear(candidate.seq);
    this.#changed();
  }

  #drop(delivery: Delivery, letting: LettingGo): void {
    switch (delivery.state) {
      case "leased":
      case "settling":
        // What is in flight ends as it ends; after a purge it is not tried again.
        if (letting.outcome === "purged") delivery.letGo = true;
        return;
      case "gone":
        return;
      case "suspect":
        this.#withdraw();
        break;
      case "parked":
        this.#parkedBytes -= delivery.event?.body.byteLength ?? 0;
        this.#lanes.drop();
    }
    letting.count++;
    if (delivery.replay === 0) this.#gathering.expire(delivery.seq, letting.reason, false);
    this.#finish(delivery, letting.outcome, false);
  }

  /** What was not read yet is read only to be let go. */
  #letGoOn(): void {
    const letting = this.#lettingGo;
    if (letting === null) return;
    while (this.#inflow.next <= letting.through && this.#inflow.behind) {
      const fresh = this.#inflow.take();
      if (fresh === null) break;
      const { seq } = fresh.event;
      if (seq > letting.through) {
        const delivery = this.#admit(fresh.event, fresh.owners);
        if (delivery !== null) this.#ready.push(delivery);
        break;
      }
      this.#letGoUnread(fresh.event, fresh.owners, letting);
    }
    this.#changed();
    if (this.#inflow.next <= letting.through && this.#inflow.behind) return;
    this.#lettingGo = null;
    this.#gathering.promise.then(() => letting.done.resolve(letting.count), letting.done.reject);
    letting.done.promise.catch(() => {});
    this.#signal();
  }

  #letGoUnread(event: Event, owners: Owners, letting: LettingGo): void {
    const delivery = this.#read(event, owners);
    for (const { route } of owners.accounts) {
      this.#gathering.settled(route, delivery, letting.outcome, false);
    }
    this.#gathering.expire(event.seq, letting.reason, this.#joined > 0);
    this.#joined = event.seq;
    this.#settledTo = event.seq;
    letting.count++;
  }

  // -------------------------------------------------------------------------------------------- rows and the cursor

  /** Settled: nothing of it is left to write but the removal of its row. */
  #forget(delivery: Delivery): void {
    delivery.state = "gone";
    if (delivery.row) {
      this.#gathering.remove(delivery.seq, delivery.replay);
      this.#rows.delete(rowKey(delivery.seq, delivery.replay));
    } else {
      this.#open.delete(delivery.seq);
      if (delivery.seq > this.#settledTo) this.#settledTo = delivery.seq;
    }
    // Ranges join only over what was never read.
    this.#joined = 0;
  }

  /** It has a row now: the cursor may pass it, and has to, lest it be read as new after a restart. */
  #pass(delivery: Delivery): void {
    if (delivery.row) return;
    delivery.row = true;
    this.#open.delete(delivery.seq);
    this.#rows.set(rowKey(delivery.seq, delivery.replay), delivery);
    if (delivery.seq > this.#settledTo) this.#settledTo = delivery.seq;
  }

  #advance(): Seq {
    for (const delivery of this.#open.values()) {
      if (delivery.seq > this.#settledTo) break;
      const { seq, replay, key, attempts, firstAttemptAt } = delivery;
      const state = delivery.state === "parked" ? "parked" : "leased";
      this.#gathering.put({ seq, replay, state, key, attempts, firstAttemptAt, due: null, delay: null });
      for (const route of delivery.historic ?? []) this.#gathering.accepted(route);
      delivery.historic = null;
      this.#pass(delivery);
    }
    return this.#cursor();
  }

  /** Where the cursor may stand without giving any more rows. */
  #cursor(): Seq {
    const first = this.#open.keys().next();
    return (first.done === true ? this.#inflow.next : first.value) - 1;
  }

  // ------------------------------------------------------------------------------------------- start and definition

  #restore(row: DeliveryRow): Delivery {
    const { clock } = this.#host;
    const delivery = new Delivery(row.seq, row.replay, row.key, this.#feeds.all());
    delivery.row = true;
    delivery.attempts = row.attempts;
    delivery.firstAttemptAt = row.firstAttemptAt;
    delivery.retried = row.state === "retrying" && row.attempts > 0;
    delivery.state = row.state === "retrying" ? "retrying" : "parked";
    delivery.freeSince = row.firstAttemptAt ?? clock.wall();
    // A clock that was set back, or forward, must not make it wait longer than it was meant to.
    const wait = Math.min(row.due === null ? 0 : row.due - clock.wall(), row.delay ?? 0);
    delivery.due = clock.monotonic() + Math.max(0, wait);
    this.#rows.set(rowKey(row.seq, row.replay), delivery);
    return delivery;
  }

  /** Puts all that waits where the present order wants it; returns how many may go at once. */
  #arrange(): number {
    this.#withdraw();
    const held = this.#lanes.held();
    this.#lanes.clear();
    if (this.#definition.order === "key") for (const { key, seq } of held) this.#lanes.hold(key, seq);
    this.#ready = new Fifo();
    this.#retries = new RetryQueue();
    this.#parkedBytes = 0;
    // A key's head has the lowest seq of its key.
    const all = [...this.#rows.values(), ...this.#open.values()].sort((a, b) => a.seq - b.seq);
    let free = 0;
    for (const delivery of all) {
      const { state } = delivery;
      const first = this.#definition.order === "key" ? this.#lanes.enter(delivery) : true;
      if (!first) this.#park(delivery);
      else if (state === "settling") continue;
      else if (state === "retrying" && delivery.due > this.#host.clock.monotonic())
        this.#retries.push(delivery);
      else {
        free++;
        this.#free(delivery);
      }
    }
    this.#arm();
    return free;
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
    if (reordered) this.#arrange();
  }

  // -------------------------------------------------------------------------------------------------------- waking

  /** A retry's settlement is on disk: now it waits for its time. */
  #wait(delivery: Delivery): void {
    // A reload that brought an order may have put it behind its key meanwhile.
    const parked = delivery.state === "parked";
    if (!parked) delivery.state = "retrying";
    if (delivery.letGo) {
      if (parked) this.#lanes.drop();
      this.#purge(delivery, false);
      this.#changed();
    } else if (!parked) this.#retries.push(delivery);
  }

  #arm(): void {
    const due = this.#retries.earliest();
    if (due === null || (this.#timer !== null && this.#timer.due <= due)) return;
    this.#timer?.cancel();
    const { clock } = this.#host;
    const ms = Math.min(Math.max(0, due - clock.monotonic()), MAX_TIMER_MS);
    const cancel = clock.after(ms, () => {
      this.#timer = null;
      this.#ripen();
    });
    this.#timer = { due, cancel };
  }

  #ripen(): void {
    const now = this.#host.clock.monotonic();
    for (let due = this.#retries.shift(now); due !== null; due = this.#retries.shift(now)) {
      if (this.#loading.want(due)) this.#loaded(due);
    }
    this.#prefetch();
    this.#arm();
    this.#signal();
  }

  #arrived(): void {
    if (this.#lettingGo !== null) this.#letGoOn();
    this.#signal();
  }

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

function gathered(taken: TakenDelta): Gathered {
  if (!("retries" in taken && "waiting" in taken)) throw new Error("not a delta of a subscription");
  return taken as Gathered;
}
