/** One subscription with its ports in memory: events in an array, commits when the test says so. */
import { type Event, NO_HEADERS, type Seq } from "../../../src/event.ts";
import type { Lease, SubscriptionDefinition } from "../../../src/journal/journal.ts";
import { Account } from "../../../src/journal/sqlite/account.ts";
import type { DeltaSink } from "../../../src/journal/sqlite/delta.ts";
import type { Gathered } from "../../../src/journal/sqlite/delta-builder.ts";
import type { EventFeed, EventPage } from "../../../src/journal/sqlite/event-feed.ts";
import type { SubscriptionDelta } from "../../../src/journal/sqlite/group.ts";
import { LiveSubscription, type LoadedSubscription } from "../../../src/journal/sqlite/subscription.ts";
import { SimulatedClock } from "../simulation/simulated-clock.ts";

export class ArrayFeed implements EventFeed {
  readonly events: Event[] = [];
  /** What is below it is not in the ring. */
  ringFrom: Seq = 1;
  /** Seqs asked of the reader one by one. */
  loaded: Seq[] = [];
  pages = 0;

  newest(): Seq {
    return this.events.length;
  }

  live(next: Seq): readonly Event[] | null {
    return next >= this.ringFrom && next <= this.newest() ? this.events.slice(next - 1) : null;
  }

  peek(seq: Seq): Event | undefined {
    return seq >= this.ringFrom ? this.events[seq - 1] : undefined;
  }

  page(after: Seq, sources: readonly string[]): Promise<EventPage> {
    this.pages++;
    const rows = this.events.slice(after, after + 100);
    const events = rows.filter(({ source }) => sources.includes(source));
    return Promise.resolve({ events, through: after + rows.length });
  }

  seqBefore(time: number): Promise<Seq> {
    const first = this.events.findIndex((event) => event.time >= time);
    return Promise.resolve(first === -1 ? this.newest() : first);
  }

  load(seqs: readonly Seq[]): Promise<(Event | null)[]> {
    this.loaded.push(...seqs);
    return Promise.resolve(seqs.map((seq) => this.events[seq - 1] ?? null));
  }
}

export class Bench {
  readonly clock = new SimulatedClock();
  readonly feed = new ArrayFeed();
  readonly sink: DeltaSink & { stalled: boolean };
  readonly subscription: LiveSubscription;
  dirty = false;

  constructor(
    part: Partial<SubscriptionDefinition> = {},
    loaded: Partial<LoadedSubscription> = {},
    unclean = false,
    events: Partial<Event>[] = [],
  ) {
    this.sink = {
      stalled: false,
      dirty: () => {
        this.dirty = true;
      },
    };
    for (const event of events) this.#event(event);
    const { routes: feeds } = { routes: [{ route: "r", sources: ["a"], start: "now" as const }], ...part };
    this.subscription = new LiveSubscription(
      {
        id: 1,
        definition: definition(part),
        active: true,
        routes: feeds.map(({ route, sources }) => ({
          route,
          spans: [{ after: 0, until: null, sources, counted: 0 }],
        })),
        cursor: 0,
        until: null,
        accounts: feeds.map(({ route }) => new Account(route)),
        rows: [],
        held: [],
        crashed: [],
        ...loaded,
      },
      { clock: this.clock, feed: this.feed, sink: this.sink, uncleanAt: unclean ? this.feed.newest() : null },
    );
  }

  /** Events are committed; by default of source `a`, without a key. */
  append(...events: Partial<Event>[]): Seq {
    const first = this.feed.newest() + 1;
    const bySource = new Map<string, number>();
    for (const event of events) {
      const { source } = this.#event(event);
      bySource.set(source, (bySource.get(source) ?? 0) + 1);
    }
    this.subscription.appended(bySource, first, this.feed.newest());
    return first;
  }

  lease(max = 100): Lease[] {
    return this.subscription.lease(max);
  }

  seqs(max = 100): Seq[] {
    return this.lease(max).map(({ event }) => event.seq);
  }

  take(): Gathered | null {
    this.dirty = false;
    return this.subscription.takeDelta();
  }

  /** A commit succeeds. */
  commit(): SubscriptionDelta | null {
    const taken = this.take();
    if (taken !== null) this.subscription.committed(taken);
    return taken?.delta ?? null;
  }

  get counts() {
    return this.subscription.counts()[0]!.counts;
  }

  #event(part: Partial<Event>): Event {
    const seq = this.feed.newest() + 1;
    const event: Event = {
      seq,
      source: "a",
      id: `id${seq}`,
      type: "t",
      subject: null,
      key: null,
      time: this.clock.wall(),
      headers: NO_HEADERS,
      body: Buffer.from(`body ${seq}`),
      hops: 0,
      cause: null,
      ...part,
    };
    this.feed.events.push(event);
    return event;
  }
}

export function definition(part: Partial<SubscriptionDefinition> = {}): SubscriptionDefinition {
  return {
    name: "r/s",
    sink: "s",
    kind: "pushed",
    routes: [{ route: "r", sources: ["a"], start: "now" }],
    order: "key",
    onDead: "skip",
    concurrency: 4,
    backlog: { ageMs: 86_400_000, bytes: 1e9 },
    was: null,
    ...part,
  };
}

/** Promises that have their answers run on. */
export async function turn(): Promise<void> {
  for (let n = 0; n < 10; n++) await null;
}
