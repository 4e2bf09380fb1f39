/**
 * The journal's interface: four small ones (Log, Ledger, History, StreamIndex) and the whole that opens and closes
 * them. Nothing outside `src/journal/` knows which engine is behind. The invariants J1 to J8 are in ARCHITECTURE.md;
 * `test/conformance/` holds every engine to them.
 */
import type {
  Appended,
  ChannelSelection,
  IndexedFrame,
  Intake,
  NewRefusal,
  StreamFrame,
} from "../component.ts";
import type { Event, NewEvent, Seq } from "../event.ts";
import type { Limits, RetentionPlan } from "../plan.ts";

// ----------------------------------------------------------------------------------------------------------------- Log

export interface Log {
  /**
   * Appends events. Resolves only once all are on disk (J1), in the order given; a duplicate too is only said after the
   * commit it was found in. `dedupeMs` null: the id is not looked up (and not remembered).
   * Rejects with LeatError `unavailable` (`journal_full`, `journal_busy`: over `limits.uncommitted`, `journal_slow`: waited
   * over `limits.commit_wait`; the event may still be committed) or `storage`.
   */
  append(event: NewEvent, dedupeMs: number | null): Promise<Appended>;
  /** Events with `after < seq`, in seq order, at most `limit` of them or 4 MiB; of the named sources, or of all. */
  read(after: Seq, limit: number, sources?: readonly string[]): Promise<Event[]>;
  /** One event; null when retention has removed it or it never was. A row that fails its checksum rejects (`damaged_row`). */
  get(seq: Seq): Promise<Event | null>;
  /** `oldest` is the lowest seq kept (`newest + 1` when empty); `newest` the last committed. */
  bounds(): { readonly oldest: Seq; readonly newest: Seq };
  /** Called after every commit that made events durable; contiguous from call to call. Must not throw or wait. */
  onCommit(listener: (commit: Commit) => void): () => void;
}

/** The events of one commit, at least one. */
export interface Commit {
  readonly first: Seq;
  readonly last: Seq;
  /** In seq order, without a gap. They are only unpacked when somebody asks: who needs the seqs alone, leave it alone. */
  readonly events: readonly Event[];
}

// -------------------------------------------------------------------------------------------------------------- Ledger

/** What delivery wants of one subscription. A changed definition takes effect at the seq of its reconciliation. */
export interface SubscriptionDefinition {
  /** `route/sink`, `route/as`, or a stream's name. */
  readonly name: string;
  readonly sink: string;
  readonly kind: "pushed" | "stream";
  /** One for a pushed subscription; a stream has one per route that names it. Accounts (J3) are kept per route. */
  readonly routes: readonly RouteFeed[];
  /** `key`: one at a time per key; `none`: free; `seq`: one at a time in seq order (streams). */
  readonly order: "key" | "none" | "seq";
  /** After the death of a key's head: go on, or keep the key until a person acts. */
  readonly onDead: "skip" | "hold";
  /** How many leases may be out at once. */
  readonly concurrency: number;
  readonly backlog: { readonly ageMs: number; readonly bytes: number };
  /** Former name whose place this one takes over when it has none of its own. */
  readonly was: string | null;
}

export interface RouteFeed {
  readonly route: string;
  /** Source names; the match runs in delivery. */
  readonly sources: readonly string[];
  /** Of a subscription that is new or comes back, and of a route that joins a stream (`Subscription.unindexed`). */
  readonly start: "now" | "beginning" | number;
}

/** J3: `accepted = filtered + pending + inFlight + retrying + delivered + dead + expired + purged`. Each is counted by itself. */
export interface Counts {
  readonly accepted: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly retrying: number;
  readonly filtered: number;
  readonly delivered: number;
  readonly dead: number;
  readonly expired: number;
  readonly purged: number;
}

/** One delivery that was handed out to be tried. It is ended by exactly one `settle` or `release`. */
export interface Lease {
  /** Of a replay into a stream: the replayed event, at the seq that its replay got. */
  readonly event: Event;
  /** The event whose reply this is, for expressions; null otherwise, or when it is gone. */
  readonly cause: Event | null;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** When the first attempt began (wall clock, ms); null at the first. */
  readonly firstAttemptAt: number | null;
  /** 0 for the original delivery, n for the nth replay. */
  readonly replay: number;
  /** For a stream: the routes (of the definition) that the event's source feeds. For a pushed one: its route. */
  readonly routes: readonly string[];
}

export interface AttemptRecord {
  /** Wall clock, ms. */
  readonly at: number;
  readonly ms: number;
  /** `filtered`: a replay, or a retry, that its route filtered: nothing was sent. */
  readonly outcome: "delivered" | "retry" | "dead" | "filtered";
  readonly status: number | null;
  /** Stable word, or null on success. */
  readonly error: string | null;
  readonly message: string | null;
  /** The first bytes of the answer. */
  readonly answer: Uint8Array | null;
}

export type Settlement = {
  /** Null where no attempt was made (filtered at first sight; dead by an expression). */
  readonly attempt: AttemptRecord | null;
  /** Events appended in the same commit: a reply, a `leat` event. Their ids are remembered like any (J4: same id on repeat). */
  readonly raises?: readonly NewEvent[];
} & (
  | { readonly outcome: "filtered" | "delivered" }
  /** Due again after `delayMs`; the wall-clock due time is stored beside the delay, so that a stepped clock can't cause a sleep of hours. */
  | { readonly outcome: "retry"; readonly delayMs: number }
  | { readonly outcome: "dead"; readonly error: string; readonly message: string }
  /** A stream: one outcome per route in `lease.routes`, in that order. A dead one is kept as a dead letter of the stream. */
  | {
      readonly outcome: "streamed";
      readonly routes: readonly (
        | { readonly outcome: "filtered" | "delivered" }
        | { readonly outcome: "dead"; readonly error: string; readonly message: string }
      )[];
    }
);

/** One subscription's feed. All calls are synchronous state changes in memory; what they decide is committed with the next group. */
export interface Subscription {
  readonly definition: SubscriptionDefinition;
  /** False once its route is gone: it owes what it owed, and nothing is leased. */
  readonly active: boolean;
  /**
   * Hands out up to `max` deliveries that are due: retries first, then freed keys, then new events. Empty when nothing
   * is due, `concurrency` leases are out, the subscription is inactive, or settlements can't be committed now.
   */
  lease(max: number): Lease[];
  /** Called (never re-entrantly) when `lease` may have something again. One listener. */
  onReady(listener: (() => void) | null): void;
  /** Ends a lease. The state changes at once; the promise resolves with the commit (rejects only when the journal is lost). */
  settle(lease: Lease, settlement: Settlement): Promise<void>;
  /** Ends a lease without a trace: it will be leased again (shutdown, a sink on hold). */
  release(lease: Lease): void;
  /** Per route, in the definition's order; consistent at any moment (J3). */
  counts(): readonly { readonly route: string; readonly counts: Counts; readonly replays: Counts }[];
  /** The accept time (ms) of its oldest unsettled event, and the journal's bytes from there on. Null: nothing unsettled. */
  lag(): { readonly oldestAt: number; readonly bytes: number } | null;
  /** Its place: what lies at or below it was handed out before. Where `lag` is null all of that is settled. */
  cursor(): Seq;
  /**
   * The highest seq below `before` that expired or was purged without being handed out, since the start; 0: none was. Absent:
   * below all that is unsettled. Of a stream; of a pushed sink it isn't known so well.
   */
  lapsed(before?: Seq): Seq;
  /**
   * For a projection that was lost: hands out again what lies after `after`, up to its cursor, in seq order and a page at
   * a time, of what was accepted at or after `since` (ms since 1970). Leases, settles and counts nothing. Rejects when
   * the journal can't be read now.
   */
  reread(after: Seq, since: number): Promise<Reread>;
  /**
   * A stream: the part of the past, up to the stream's own place, that the named routes joined it for (`start`) and that
   * its index hasn't got from them yet. It is read by `reread`; nothing of it is leased or counted. Null: there is none.
   */
  unindexed(routes: readonly string[]): Unindexed | null;
  /** The index has it from these routes, up to `through`. Remembered from the next commit on. */
  indexed(routes: readonly string[], through: Seq): void;
}

/** Events with `after < seq <= through`, for these routes. */
export interface Unindexed {
  readonly routes: readonly string[];
  readonly after: Seq;
  readonly through: Seq;
}

/** One page of what was handed out before. */
export interface Reread {
  readonly deliveries: readonly Pick<Lease, "event" | "cause" | "routes">[];
  /** The page has everything after `from` and up to `through`. Above `after`: what lies between is too old, or gone. */
  readonly from: Seq;
  /** Above `after` unless that is the cursor or beyond it. */
  readonly through: Seq;
}

/** Durable state of a whole sink, shared by its subscriptions (J7). */
export interface SinkState {
  /** No delivery starts before this (wall clock, ms), at most `ms` from when it was set. */
  readonly hold: { readonly until: number; readonly ms: number } | null;
  /** Paused until a person resumes it, and why. */
  readonly paused: string | null;
  /** Consecutive failures and the wait before the next probe; null is closed. */
  readonly breaker: { readonly failures: number; readonly openUntil: number; readonly waitMs: number } | null;
}

export interface ReconcileReport {
  /** The seq at which it took effect. */
  readonly at: Seq;
  readonly added: readonly string[];
  /** Gone from the definitions, with what they still owe. */
  readonly removed: readonly { readonly name: string; readonly owed: number }[];
  readonly resumed: readonly string[];
}

export interface DeadLetter {
  readonly subscription: string;
  readonly route: string;
  readonly replay: number;
  readonly at: number;
  readonly error: string;
  readonly message: string;
  readonly attempts: number;
  /** The copy kept beside the dead letter; outlives retention. */
  readonly event: Event;
  readonly cause: Event | null;
}

export interface Ledger {
  /** Brings the subscriptions in line with the definitions, in one commit, between two groups. */
  reconcile(definitions: readonly SubscriptionDefinition[]): Promise<ReconcileReport>;
  subscription(name: string): Subscription | undefined;
  /** All, inactive ones included. */
  subscriptions(): readonly Subscription[];
  sinkState(sink: string): SinkState;
  /** Takes effect at once, is committed with the next group. */
  setSinkState(sink: string, state: SinkState): void;
  /**
   * A new delivery of an event (from the log, or from a dead letter when the log has it no more) to a pushed
   * subscription; into a stream a `leat.replay` event. Resolves with its commit. LeatError `refused` `unknown_event`, `unknown_subscription`.
   */
  replay(seq: Seq, subscription: string): Promise<{ readonly replay: number }>;
  /** Settles all that the subscription still owes as purged (`owed`), or removes its dead letters (`dead`). Resolves with how many. */
  purge(subscription: string, what: "owed" | "dead"): Promise<number>;
  dead(query: { subscription?: string; before?: Seq; limit: number }): Promise<DeadLetter[]>;
}

// ------------------------------------------------------------------------------------------------------------- History

export interface Refusal extends NewRefusal {
  readonly at: number;
  /** How many like it this row stands for. */
  readonly count: number;
}

/** What became of one event in one subscription. */
export interface DeliveryHistory {
  readonly subscription: string;
  readonly replay: number;
  readonly state: "pending" | "retrying" | "parked" | "settled" | "dead" | "expired" | "purged";
  readonly dueAt: number | null;
  readonly attempts: readonly AttemptRecord[];
}

export interface History {
  deliveries(seq: Seq): Promise<DeliveryHistory[]>;
  /** Newest first. */
  refusals(limit: number): Promise<Refusal[]>;
  /** Newest first; `before` pages. */
  events(query: { before?: Seq; limit: number; source?: string; id?: string }): Promise<Event[]>;
  /** Keeps a refusal, coalesced and bounded (10 rows/s, 10,000 rows). Never fails, never waits. */
  refuse(refusal: NewRefusal): void;
}

// --------------------------------------------------------------------------------------------------------- StreamIndex

/** What the index can answer for, of one stream: nothing is missing after `oldest` and up to `newest`, but for `missing`. */
export interface StreamPlace {
  readonly oldest: Seq;
  readonly newest: Seq;
  /** After `after` and up to `through`: was lost, or is to be filled. Who reads waits before it. Null: nothing is. */
  readonly missing: { readonly after: Seq; readonly through: Seq } | null;
}

/**
 * A projection: what streams' routes yielded, by (stream, channel, seq). Written off the commit path, rebuilt when lost.
 * Whatever writes to it is done in the order of the calls, is durable when it resolves, waits where the disk is full, and
 * rejects only when the index is closed.
 */
export interface StreamIndex {
  /**
   * Writing a (stream, seq) again replaces it. An empty list moves the stream's place only. What lies at or below the stream's
   * `oldest` is dropped, also of a `fill`.
   */
  write(entries: readonly { stream: string; seq: Seq; frames: readonly StreamFrame[] }[]): Promise<void>;
  read(
    stream: string,
    after: Seq,
    wants: ChannelSelection,
    limit: number,
  ): Promise<{ frames: IndexedFrame[]; through: Seq }>;
  bounds(stream: string): Promise<{ oldest: Seq; newest: Seq }>;
  /** Of all streams that have one; of none while the file can't be read (its disk is full at the start, say). */
  places(): ReadonlyMap<string, StreamPlace>;
  /** From now on `missing` covers what lies after `after` and up to `through`, until that is filled. */
  lack(stream: string, after: Seq, through: Seq): Promise<void>;
  /**
   * Writes what is `missing` after `after` and up to `through`: the entries are all there is of it. Where by now more is
   * missing before it, they are written, and stay missing with that.
   */
  fill(
    entries: readonly { stream: string; seq: Seq; frames: readonly StreamFrame[] }[],
    filled: { readonly stream: string; readonly after: Seq; readonly through: Seq },
  ): Promise<void>;
  /** What the stream hasn't got up to `through` is `missing`, however far it goes: where the file can't be read now, nobody knows. */
  owe(stream: string, through: Seq): Promise<void>;
  /** It will be written from `after` on: where it begins later, what lies between is `missing` until `fill` says that it is there. */
  reach(stream: string, after: Seq): Promise<void>;
  /** Nothing at or below `from` is there any more, or will be. */
  begin(stream: string, from: Seq): Promise<void>;
  /** The stream has another name from now on. Nothing happens where the new one is taken, or the old one isn't there. */
  rename(stream: string, to: string): Promise<void>;
  /** Called when what was there is `missing` now (the file was damaged while it was open). */
  onLost(listener: () => void): () => void;
  seqAt(stream: string, time: number): Promise<Seq>;
  /** Removes what is older; in small steps. */
  retain(stream: string, olderThan: number): Promise<number>;
}

// --------------------------------------------------------------------------------------------------------------- Notes

/** A few short texts by name that outlive the process: what a source must know of itself at its broker. */
export interface Notes {
  /** Null: there is none. */
  get(name: string): string | null;
  /** On disk when it resolves. Rejects with LeatError `unavailable` (a full disk) or `storage`. */
  set(name: string, text: string): Promise<void>;
}

// ------------------------------------------------------------------------------------------------------------- Journal

export interface JournalHealth {
  readonly intake: Intake;
  /** True while settlements can't be committed either: no new delivery starts. */
  readonly stalled: boolean;
  /** Set once: the journal is lost to this process, which must exit with the error's code. */
  readonly failed: Error | null;
  /** For people: clock guard active, watermark near, ids forgotten early, … */
  readonly notes: readonly string[];
}

export interface JournalMetrics {
  readonly commits: number;
  readonly committedEvents: number;
  readonly committedBytes: number;
  /** Cumulative histogram of commit times: upper bounds in seconds → count; and their sum. */
  readonly commitSeconds: {
    readonly buckets: ReadonlyMap<number, number>;
    readonly sum: number;
    readonly count: number;
  };
  readonly uncommittedBytes: number;
  readonly fileBytes: number;
  readonly walBytes: number;
  readonly freeBytes: number;
  readonly events: number;
  readonly dedupeIds: number;
  readonly dedupeEvictedEarly: number;
  /** Events whose bytes on disk were found not to match their checksum, since the start. */
  readonly damagedEvents: number;
  readonly retainedThrough: Seq;
}

export interface Journal {
  readonly log: Log;
  readonly ledger: Ledger;
  readonly history: History;
  readonly streams: StreamIndex;
  readonly notes: Notes;
  /** The same as long as the journal lives, and no other's: 4 to 16 letters and digits. */
  readonly mark: string;
  health(): JournalHealth;
  /** Called when `health()` has changed. */
  onHealth(listener: (health: JournalHealth) => void): () => void;
  /** The writer answers: for /healthz. Rejects when it doesn't within `ms`. */
  ping(ms: number): Promise<void>;
  metrics(): JournalMetrics;
  /** Changes retention and limits at run time (reload). */
  configure(settings: JournalTuning): void;
  /**
   * A person says that the wall clock is right: deleting and expiring by age go on at once. False: it wasn't doubted.
   */
  confirmClock(): boolean;
  /** Commits what waits, checkpoints, closes. Leases still out are as if released. */
  close(): Promise<void>;
}

/** What a reload may change of a journal. */
export interface JournalTuning {
  readonly retention: RetentionPlan;
  readonly limits: Pick<Limits, "uncommittedBytes" | "commitWaitMs" | "dedupeIds">;
}
