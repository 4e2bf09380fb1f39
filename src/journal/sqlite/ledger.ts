/** The ledger as the main thread has it: all subscriptions, sinks' states, and the commands that a person or a reload gives. */
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type {
  DeadLetter,
  Ledger,
  ReconcileReport,
  SinkState,
  Subscription,
  SubscriptionDefinition,
} from "../journal.ts";
import { Account, emptyTally } from "./account.ts";
import type { AccountColumns } from "./account-rows.ts";
import type { Committed } from "./committed.ts";
import type { DeltaSink } from "./delta.ts";
import type { BacklogMarks, EventFeed } from "./event-feed.ts";
import type { Command } from "./group.ts";
import type { CommandValues, LedgerStart, StoredSubscription } from "./ledger-store.ts";
import { LiveSubscription, type SubscriptionHost } from "./subscription.ts";
import { unknownSubscription } from "./unknown.ts";

/** How often backlogs are measured, and how many times of those cursors that passed nothing owed are written. */
const MEASURE_MS = 1000;
const FLUSH_EVERY = 10;

const CLOSED_STATE: SinkState = { hold: null, paused: null, breaker: null };

/** What the ledger asks of the committer. */
export interface LedgerCommits extends DeltaSink {
  command(command: Command, apply?: (value: unknown) => void): Promise<unknown>;
  setSink(sink: string, state: SinkState): void;
  onCommit(listener: (committed: Committed) => void): () => void;
}

export interface LedgerOptions {
  readonly commits: LedgerCommits;
  readonly feed: EventFeed & BacklogMarks;
  readonly clock: Clock;
  readonly start: LedgerStart;
  /** Sinks' durable states, as JSON. */
  readonly sinks: readonly { readonly name: string; readonly state: string }[];
  /** False: the last process ended without closing. */
  readonly clean: boolean;
  /** False while the wall clock can't be trusted. */
  readonly mayExpireByAge: () => boolean;
  readonly dead: (query: { subscription?: string; before?: Seq; limit: number }) => Promise<DeadLetter[]>;
}

export class SqliteLedger implements Ledger {
  readonly #options: LedgerOptions;
  readonly #host: SubscriptionHost;
  readonly #byId = new Map<number, LiveSubscription>();
  #byName = new Map<string, LiveSubscription>();
  readonly #sinks = new Map<string, SinkState>();
  readonly #stopListening: () => void;
  #stopTimer: () => void = () => {};
  #measured = 0;
  #closed = false;

  constructor(options: LedgerOptions) {
    const { commits, feed, clock, clean } = options;
    this.#options = options;
    this.#host = { clock, feed, sink: commits, uncleanAt: clean ? null : feed.newest() };
    for (const stored of options.start.subscriptions) this.#add(stored, this.#host);
    this.#index();
    for (const { name, state } of options.sinks) this.#sinks.set(name, loadedState(state, clock.wall()));
    this.#stopListening = commits.onCommit((committed) => this.#appended(committed));
    this.#tick();
  }

  reconcile(definitions: readonly SubscriptionDefinition[]): Promise<ReconcileReport> {
    const now = this.#options.clock.wall();
    return this.#command({ kind: "reconcile", definitions, now }, "reconcile", ({ subscriptions }) => {
      for (const stored of subscriptions) {
        const live = this.#byId.get(stored.id);
        // What is new after an unclean stop was not in flight at it.
        if (live === undefined) this.#add(stored, { ...this.#host, uncleanAt: null });
        else live.change(stored.definition, stored.routes, stored.active, stored.until);
      }
      this.#index();
    }).then(({ report }) => report);
  }

  subscription(name: string): Subscription | undefined {
    return this.#byName.get(name);
  }

  subscriptions(): readonly Subscription[] {
    return [...this.#byName.values()];
  }

  sinkState(sink: string): SinkState {
    return this.#sinks.get(sink) ?? CLOSED_STATE;
  }

  setSinkState(sink: string, state: SinkState): void {
    this.#sinks.set(sink, state);
    this.#options.commits.setSink(sink, state);
  }

  replay(seq: Seq, subscription: string): Promise<{ replay: number }> {
    const now = this.#options.clock.wall();
    return this.#command({ kind: "replay", seq, subscription, now }, "replay", (value) => {
      this.#byId.get(value.subscription)?.replayed(value.routes, value.row);
    }).then(({ replay }) => ({ replay }));
  }

  async purge(subscription: string, what: "owed" | "dead"): Promise<number> {
    const live = this.#byName.get(subscription);
    if (live === undefined) throw unknownSubscription(subscription);
    if (what === "owed") {
      const through = this.#options.feed.newest();
      return live.letGo({ through, outcome: "purged", reason: "purged" });
    }
    const { count } = await this.#command({ kind: "purge", subscription }, "purge", ({ freed }) =>
      live.freeHeld(freed),
    );
    return count;
  }

  dead(query: { subscription?: string; before?: Seq; limit: number }): Promise<DeadLetter[]> {
    return this.#options.dead(query);
  }

  /** Settlements can be committed again. */
  wake(): void {
    for (const live of this.#byId.values()) live.wake();
  }

  /** Before the last commit: writes cursors that have passed nothing owed. */
  flush(): void {
    for (const live of this.#byId.values()) live.flush();
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
    this.#stopTimer();
    for (const live of this.#byId.values()) live.close();
  }

  async #command<K extends keyof CommandValues>(
    command: Extract<Command, { kind: K }>,
    _kind: K,
    apply: (value: CommandValues[K]) => void,
  ): Promise<CommandValues[K]> {
    return (await this.#options.commits.command(command, (value) =>
      apply(value as CommandValues[K]),
    )) as CommandValues[K];
  }

  #add(stored: StoredSubscription, host: SubscriptionHost): void {
    const accounts = stored.accounts.map(account);
    this.#byId.set(stored.id, new LiveSubscription({ ...stored, accounts }, host));
  }

  #index(): void {
    this.#byName = new Map(Array.from(this.#byId.values(), (live) => [live.definition.name, live]));
  }

  #appended(committed: Committed): void {
    if (this.#byId.size === 0) return;
    const { first, last } = committed;
    const bySource = committed.bySource();
    for (const live of this.#byId.values()) live.appended(bySource, first, last);
  }

  // ------------------------------------------------------------------------------------------------------- backlogs

  #tick(): void {
    this.#stopTimer = this.#options.clock.after(MEASURE_MS, () => {
      if (++this.#measured % FLUSH_EVERY === 0) this.flush();
      const again = () => {
        if (!this.#closed) this.#tick();
      };
      // A reader that can't answer now is asked again.
      this.measure().then(again, again);
    });
  }

  /** Looks at every backlog, and lets go what is beyond its bound (J6). */
  async measure(): Promise<void> {
    const { feed } = this.#options;
    const behind = [...this.#byId.values()].filter((live) => {
      if (live.oldest() !== null) return true;
      live.measured(null);
      return false;
    });
    if (behind.length === 0) return;
    const total = await feed.total();
    for (const live of behind) {
      if (this.#closed) return;
      await this.#bound(live, total);
    }
  }

  async #bound(live: LiveSubscription, total: number): Promise<void> {
    const { feed, clock, mayExpireByAge } = this.#options;
    const oldest = live.oldest();
    const mark = oldest === null ? null : await feed.mark(oldest);
    if (oldest === null || mark === null) {
      live.measured(null);
      return;
    }
    const bytes = Math.max(0, total - mark.before);
    live.measured({ at: mark.at, bytes });
    const { backlog } = live.definition;
    if (bytes > backlog.bytes) {
      const through = await feed.seqAtTotal(total - backlog.bytes);
      if (through >= oldest) live.letGo({ through, outcome: "expired", reason: "size" }).catch(() => {});
    }
    if (!mayExpireByAge()) return;
    const before = clock.wall() - backlog.ageMs;
    live.letGoOld(before, "age");
    if (mark.at >= before || !live.reading) return;
    const through = await feed.agedThrough(live.next - 1, before);
    if (through < live.next) return;
    live.letGo({ through, outcome: "expired", reason: "age" }, true).catch(() => {});
  }
}

function account({ route, counts, replays }: AccountColumns): Account {
  return new Account(route, { ...emptyTally(), ...counts }, { ...emptyTally(), ...replays });
}

/** A clock that was set back must not make a hold or a breaker last longer than it was meant to. */
function loadedState(json: string, now: number): SinkState {
  const { hold, paused, breaker } = JSON.parse(json) as SinkState;
  return {
    hold: hold && { ...hold, until: Math.min(hold.until, now + hold.ms) },
    paused,
    breaker: breaker && { ...breaker, openUntil: Math.min(breaker.openUntil, now + breaker.waitMs) },
  };
}
