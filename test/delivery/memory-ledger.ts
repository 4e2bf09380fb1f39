/**
 * A ledger in memory that keeps the contract of `journal/journal.ts` as far as delivery sees it: keys, retries, holds,
 * raised events. So that the loops are tested alone; with the real journal they run in `journal.test.ts`.
 */
import type { Event, NewEvent, Seq } from "../../src/event.ts";
import type {
  Lease,
  Reread,
  Settlement,
  SinkState,
  Subscription,
  SubscriptionDefinition,
  Unindexed,
} from "../../src/journal/journal.ts";
import { type Clock, systemClock } from "../../src/ports.ts";

interface Entry {
  readonly event: Event;
  readonly replay: number;
  attempts: number;
  firstAttemptAt: number | null;
  state: "pending" | "leased" | "retrying" | "settled";
  dueAt: number;
}

export interface Settled {
  readonly seq: Seq;
  readonly settlement: Settlement;
}

export class MemorySubscription implements Subscription {
  readonly definition: SubscriptionDefinition;
  readonly active = true;
  readonly settled: Settled[] = [];
  /** Ends of leases, in order: what was settled or given back. */
  readonly released: Seq[] = [];
  readonly #ledger: MemoryLedger;
  readonly #entries: Entry[] = [];
  readonly #heldKeys = new Set<string>();
  #listener: (() => void) | null = null;

  constructor(ledger: MemoryLedger, definition: SubscriptionDefinition) {
    this.#ledger = ledger;
    this.definition = definition;
  }

  add(event: Event, replay = 0): void {
    this.#entries.push({ event, replay, attempts: 0, firstAttemptAt: null, state: "pending", dueAt: 0 });
    this.#ready();
  }

  lease(max: number): Lease[] {
    const leases: Lease[] = [];
    const { concurrency, order } = this.definition;
    let out = this.#entries.filter(({ state }) => state === "leased").length;
    const busy = new Set(
      this.#entries
        .filter(({ state }) => state === "leased" || state === "retrying")
        .map(({ event }) => event.key),
    );
    // A timer may fire a fraction of a millisecond early.
    const now = this.#ledger.clock.monotonic() + 1;
    const due = this.#entries.filter(({ state, dueAt }) => state === "retrying" && dueAt <= now);
    const fresh = this.#entries.filter(({ state }) => state === "pending");
    for (const entry of [...due, ...fresh]) {
      if (leases.length === max || out === concurrency) break;
      const { key } = entry.event;
      if (order === "key" && key !== null) {
        if (this.#heldKeys.has(key)) continue;
        if (entry.state === "pending" && busy.has(key)) continue;
        busy.add(key);
      }
      entry.state = "leased";
      out++;
      leases.push({
        event: entry.event,
        cause: entry.event.cause === null ? null : (this.#ledger.events.get(entry.event.cause) ?? null),
        attempt: entry.attempts + 1,
        firstAttemptAt: entry.firstAttemptAt,
        replay: entry.replay,
        routes: this.definition.routes
          .filter(({ sources }) => sources.includes(entry.event.source))
          .map(({ route }) => route),
      });
    }
    return leases;
  }

  onReady(listener: (() => void) | null): void {
    this.#listener = listener;
  }

  settle(lease: Lease, settlement: Settlement): Promise<void> {
    const entry = this.#end(lease);
    this.settled.push({ seq: lease.event.seq, settlement });
    if (settlement.attempt !== null) {
      entry.attempts++;
      entry.firstAttemptAt ??= settlement.attempt.at;
    }
    if (settlement.outcome === "retry") {
      entry.state = "retrying";
      entry.dueAt = this.#ledger.clock.monotonic() + settlement.delayMs;
      this.#ledger.clock.after(settlement.delayMs, () => this.#ready());
    } else {
      entry.state = "settled";
      this.#entries.splice(this.#entries.indexOf(entry), 1);
      const { key } = lease.event;
      if (settlement.outcome === "dead" && this.definition.onDead === "hold" && key !== null)
        this.#heldKeys.add(key);
    }
    for (const raised of settlement.raises ?? []) this.#ledger.append(raised);
    this.#ready();
    return this.#ledger.commit;
  }

  release(lease: Lease): void {
    const entry = this.#end(lease);
    entry.state = "pending";
    this.released.push(lease.event.seq);
    this.#ready();
  }

  /** What isn't leased, as delivery asks for that. */
  counts(): ReturnType<Subscription["counts"]> {
    const none = { accepted: 0, pending: 0, inFlight: 0, retrying: 0, filtered: 0, delivered: 0 };
    const counts = { ...none, dead: 0, expired: 0, purged: 0 };
    const pending = this.#entries.filter(({ state }) => state === "pending").length;
    return [{ route: "", counts: { ...counts, pending }, replays: counts }];
  }

  lag(): null {
    return null;
  }

  cursor(): Seq {
    return 0;
  }

  async reread(after: Seq): Promise<Reread> {
    return { deliveries: [], from: after, through: after };
  }

  /** Let go by somebody; ascending. */
  lapses: Seq[] = [];

  lapsed(before: Seq = this.#entries[0]?.event.seq ?? Number.POSITIVE_INFINITY): Seq {
    return this.lapses.findLast((seq) => seq < before) ?? 0;
  }

  unindexed(_routes: readonly string[]): Unindexed | null {
    return null;
  }

  indexed(_routes: readonly string[], _through: Seq): void {}

  /** What isn't settled yet. */
  get owed(): number {
    return this.#entries.length;
  }

  #end(lease: Lease): Entry {
    const entry = this.#entries.find((each) => each.event === lease.event && each.replay === lease.replay);
    if (entry?.state !== "leased") throw new Error(`seq ${lease.event.seq} was not leased`);
    return entry;
  }

  #ready(): void {
    queueMicrotask(() => this.#listener?.());
  }
}

const FRESH: SinkState = { hold: null, paused: null, breaker: null };

export class MemoryLedger {
  readonly clock: Clock;
  readonly events = new Map<Seq, Event>();
  readonly states = new Map<string, SinkState>();
  /** What settlements resolve with. */
  commit: Promise<void> = Promise.resolve();
  readonly #subscriptions = new Map<string, MemorySubscription>();
  #seq = 1000;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
  }

  subscribe(
    definition: Partial<SubscriptionDefinition> & { name: string; sources?: readonly string[] },
  ): MemorySubscription {
    const { name, sources = ["in"], ...rest } = definition;
    const [route = name, sink = name] = name.split("/");
    const subscription = new MemorySubscription(this, {
      name,
      sink,
      kind: "pushed",
      routes: [{ route, sources, start: "now" }],
      order: "key",
      onDead: "skip",
      concurrency: 16,
      backlog: { ageMs: 1e9, bytes: 1e9 },
      was: null,
      ...rest,
    });
    this.#subscriptions.set(name, subscription);
    return subscription;
  }

  subscription(name: string): MemorySubscription | undefined {
    return this.#subscriptions.get(name);
  }

  sinkState(sink: string): SinkState {
    return this.states.get(sink) ?? FRESH;
  }

  setSinkState(sink: string, state: SinkState): void {
    this.states.set(sink, state);
  }

  /** Appends an event and hands it to the subscriptions that its source feeds. */
  append(event: NewEvent): Event {
    const appended = { ...event, seq: ++this.#seq };
    this.events.set(appended.seq, appended);
    for (const subscription of this.#subscriptions.values()) {
      const fed = subscription.definition.routes.some(({ sources }) => sources.includes(event.source));
      if (fed) subscription.add(appended);
    }
    return appended;
  }

  /** All events of one source, such as those that were raised. */
  of(source: string): Event[] {
    return [...this.events.values()].filter((event) => event.source === source);
  }
}
