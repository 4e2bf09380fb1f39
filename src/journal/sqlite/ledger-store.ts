/**
 * The ledger's tables, from the writer's side: every method but `load` runs inside the writer's transaction, so that
 * events, what is owed of them and what was settled are one commit.
 */
import { isDeepStrictEqual } from "node:util";
import { type NewEvent, REPLAY_TYPE, type Seq } from "../../event.ts";
import type { ReconcileReport, RouteFeed, SubscriptionDefinition } from "../journal.ts";
import { type AccountColumns, AccountRows } from "./account-rows.ts";
import { type RouteSpans, withIndexed } from "./feeds.ts";
import type { Command, DeadRow, DeliveryRow, SubscriptionDelta } from "./group.ts";
import { DELETE_UNUSED_COPY } from "./kept.ts";
import type { CreateLedgerStore, LedgerStore } from "./ledger-port.ts";
import { writeNote } from "./notes.ts";
import { changedSpans, endedSpans, newSpans, resumeAt } from "./reconcile.ts";
import { replayEvent } from "./replay-event.ts";
import type { Row, Statement, Storage } from "./storage.ts";
import { definitionOf, feedsOf } from "./subscription-row.ts";
import { unknownEvent, unknownSubscription } from "./unknown.ts";

/** Recorded so many times and never settled: dead, without another try. */
const CRASHES = 3;

/** A subscription on its way to the main thread. */
export interface StoredSubscription {
  readonly id: number;
  readonly definition: SubscriptionDefinition;
  readonly active: boolean;
  readonly routes: readonly RouteSpans[];
  readonly cursor: Seq;
  readonly until: Seq | null;
  readonly accounts: readonly AccountColumns[];
  readonly rows: readonly DeliveryRow[];
  /** Keys kept by a dead letter (`on_dead: hold`), and which. */
  readonly held: readonly { readonly key: string; readonly seq: Seq }[];
  /** Found as suspect at three unclean stops. */
  readonly crashed: readonly Seq[];
}

export interface LedgerStart {
  readonly subscriptions: readonly StoredSubscription[];
}

/** What a command answers, by its kind. */
export interface CommandValues {
  reconcile: { readonly report: ReconcileReport; readonly subscriptions: readonly StoredSubscription[] };
  /** `row` is null for a stream, which reads its replays in the order of their seqs. */
  replay: {
    readonly subscription: number;
    readonly replay: number;
    readonly routes: readonly string[];
    readonly row: DeliveryRow | null;
  };
  /** `freed`: the keys that were kept by a letter that is gone. */
  purge: { readonly count: number; readonly freed: readonly { readonly key: string; readonly seq: Seq }[] };
}

export const createLedgerStore: CreateLedgerStore = (storage) => new SqliteLedgerStore(storage);

class SqliteLedgerStore implements LedgerStore {
  readonly #storage: Storage;
  readonly #accounts: AccountRows;
  readonly #cursor: Statement;
  readonly #feeds: Statement;
  readonly #put: Statement;
  readonly #remove: Statement;
  readonly #attempt: Statement;
  readonly #keep: Statement;
  readonly #causeOf: Statement;
  readonly #dead: Statement;
  readonly #expired: Statement;
  readonly #freeKey: Statement;
  readonly #suspect: Statement;
  readonly #unsuspect: Statement;
  readonly #subscriptions: Statement;

  constructor(storage: Storage) {
    this.#storage = storage;
    this.#accounts = new AccountRows(storage);
    this.#cursor = storage.prepare("UPDATE subscription SET cursor = ? WHERE id = ?");
    this.#feeds = storage.prepare("UPDATE subscription SET feeds = ? WHERE id = ?");
    this.#put = storage.prepare("INSERT OR REPLACE INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#remove = storage.prepare("DELETE FROM delivery WHERE subscription = ? AND seq = ? AND replay = ?");
    this.#attempt = storage.prepare(
      "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    this.#keep = storage.prepare("INSERT OR IGNORE INTO kept SELECT * FROM event WHERE seq = ?");
    this.#causeOf = storage.prepare(
      "SELECT cause FROM event WHERE seq = ?1 UNION ALL SELECT cause FROM kept WHERE seq = ?1",
    );
    this.#dead = storage.prepare("INSERT OR REPLACE INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)");
    this.#expired = storage.prepare("INSERT OR REPLACE INTO expiry VALUES (?, ?, ?, ?, ?)");
    this.#freeKey = storage.prepare("UPDATE dead SET holds = NULL WHERE subscription = ? AND seq = ?");
    this.#suspect = storage.prepare(
      `INSERT INTO suspicion VALUES (?, ?, 1)
       ON CONFLICT (subscription, seq) DO UPDATE SET times = times + 1`,
    );
    this.#unsuspect = storage.prepare("DELETE FROM suspicion WHERE subscription = ? AND seq = ?");
    this.#subscriptions = storage.prepare("SELECT * FROM subscription ORDER BY id");
  }

  appended(bySource: ReadonlyMap<string, number>): void {
    this.#accounts.appended(bySource);
  }

  apply(delta: SubscriptionDelta, now: number): void {
    const { subscription } = delta;
    this.#cursor.run(delta.cursor, subscription);
    if (delta.indexed !== undefined) this.#indexed(subscription, delta.indexed);
    for (const moves of delta.accounts) this.#accounts.move(subscription, moves);
    for (const { seq, replay } of delta.remove) this.#remove.run(subscription, seq, replay);
    for (const { seq, replay, state, key, attempts, firstAttemptAt, due, delay } of delta.put) {
      this.#put.run(subscription, seq, replay, state, key, attempts, firstAttemptAt, due, delay);
    }
    for (const { seq, replay, n, at, ms, outcome, status, error, message, answer } of delta.attempts) {
      const took = Math.round(ms);
      this.#attempt.run(
        ...[seq, subscription, replay, n, Math.round(at), took, outcome, status, error, message, answer],
      );
    }
    for (const dead of delta.dead) this.#bury(subscription, dead);
    for (const { from, to, reason } of delta.expired) this.#expired.run(subscription, from, to, reason, now);
    for (const seq of delta.freed) this.#freeKey.run(subscription, seq);
    for (const seq of delta.cleared) this.#unsuspect.run(subscription, seq);
    if (delta.suspect !== null) this.#suspect.run(subscription, delta.suspect);
  }

  command(command: Command, append: (event: NewEvent) => Seq, newest: Seq): unknown {
    switch (command.kind) {
      case "reconcile":
        return this.#reconcile(command.definitions, newest);
      case "replay":
        return this.#replay(command.seq, command.subscription, command.now, append);
      case "purge":
        return this.#purge(command.subscription);
      case "note":
        return writeNote(this.#storage, command.name, command.text);
    }
  }

  load(): LedgerStart {
    return { subscriptions: this.#subscriptions.all().map((row) => this.#stored(row)) };
  }

  rolledBack(): void {
    this.#accounts.forget();
  }

  /** On the row as it is now: a reload may have changed it since the index was written. */
  #indexed(subscription: number, indexed: NonNullable<SubscriptionDelta["indexed"]>): void {
    const row = this.#storage.prepare("SELECT feeds FROM subscription WHERE id = ?").get(subscription);
    if (row === undefined) return;
    let routes: readonly RouteSpans[] = feedsOf(row);
    for (const { routes: names, through } of indexed) routes = withIndexed(routes, names, through);
    this.#feeds.run(JSON.stringify(routes), subscription);
  }

  /** The dead letter's event and its cause are copied in the same commit, so that they outlive retention. */
  #bury(subscription: number, dead: DeadRow): void {
    const { seq, replay, route, at, error, message, attempts, holds } = dead;
    const cause = this.#keepEvent(seq);
    this.#dead.run(subscription, seq, replay, route, at, error, message, attempts, cause, holds);
  }

  #keepEvent(seq: Seq): Seq | null {
    this.#keep.run(seq);
    const cause = this.#causeOf.get(seq)?.cause;
    if (typeof cause !== "number") return null;
    this.#keep.run(cause);
    return cause;
  }

  // ------------------------------------------------------------------------------------------------------- reconcile

  #reconcile(definitions: readonly SubscriptionDefinition[], at: Seq): CommandValues["reconcile"] {
    const added: string[] = [];
    const resumed: string[] = [];
    const removed: { name: string; owed: number }[] = [];
    const startAt = (start: RouteFeed["start"]) => this.#startAt(start, at);
    const wanted = new Set(definitions.map(({ name }) => name));
    const rows = new Map(this.#subscriptions.all().map((row) => [String(row.name), row]));
    for (const definition of definitions) {
      const row = rows.get(definition.name) ?? this.#takeOver(definition, rows, wanted);
      if (row === undefined) {
        this.#add(definition, newSpans(definition, at, startAt));
        added.push(definition.name);
      } else {
        if (row.active === 0) resumed.push(definition.name);
        this.#change(row, definition, at, startAt);
      }
    }
    for (const [name, row] of rows) {
      if (wanted.has(name)) continue;
      const owed = this.#accounts.owed(Number(row.id));
      if (row.active === 1) this.#retire(row, at);
      if (row.active === 1 || owed > 0) removed.push({ name, owed });
    }
    this.#accounts.forget();
    const { subscriptions } = this.load();
    return { report: { at, added, removed, resumed }, subscriptions };
  }

  /** The row of the subscription's former name, if nobody else bears that now. */
  #takeOver(
    { was, name }: SubscriptionDefinition,
    rows: Map<string, Row>,
    wanted: Set<string>,
  ): Row | undefined {
    const row = was === null || wanted.has(was) ? undefined : rows.get(was);
    if (row === undefined || was === null) return undefined;
    rows.delete(was);
    rows.set(name, row);
    return row;
  }

  #add(definition: SubscriptionDefinition, routes: readonly RouteSpans[]): void {
    const cursor = Math.min(...routes.flatMap(({ spans }) => spans.map(({ after }) => after)));
    this.#storage
      .prepare("INSERT INTO subscription (name, definition, active, feeds, cursor) VALUES (?, ?, 1, ?, ?)")
      .run(definition.name, JSON.stringify(definition), JSON.stringify(routes), cursor);
    const row = this.#storage.prepare("SELECT id FROM subscription WHERE name = ?").get(definition.name);
    for (const { route } of routes) this.#accounts.add(Number(row?.id), route);
  }

  #change(
    row: Row,
    definition: SubscriptionDefinition,
    at: Seq,
    startAt: (s: RouteFeed["start"]) => Seq,
  ): void {
    const id = Number(row.id);
    const cursor = Number(row.cursor);
    const before = feedsOf(row);
    const lowest = this.#storage
      .prepare("SELECT min(seq) AS seq FROM delivery WHERE subscription = ? AND replay = 0")
      .get(id)?.seq;
    let settled = typeof lowest === "number" ? Math.min(cursor, lowest - 1) : cursor;
    // A stream's index may have to be filled again: whose an event was is known as long as there is the event.
    if (definition.kind === "stream") settled = Math.min(settled, this.#oldest(at) - 1);
    const routes = changedSpans(before, definition, at, startAt, settled);
    for (const { route } of routes) {
      if (before.some((old) => old.route === route)) continue;
      const [only] = before;
      if (definition.kind === "pushed" && only !== undefined && before.length === 1) {
        this.#accounts.rename(id, only.route, route);
      } else this.#accounts.add(id, route);
    }
    const next = {
      name: definition.name,
      definition: JSON.stringify(definition),
      feeds: JSON.stringify(routes),
      cursor: row.active === 0 ? resumeAt(cursor, Number(row.until), routes) : cursor,
    };
    // A start that changes nothing writes nothing, and so succeeds on a full disk too.
    if (row.active === 1 && row.until === null && isDeepStrictEqual({ ...row, ...next }, { ...row })) return;
    this.#storage
      .prepare(
        `UPDATE subscription SET name = ?, definition = ?, active = 1, feeds = ?, cursor = ?, until = NULL
         WHERE id = ?`,
      )
      .run(next.name, next.definition, next.feeds, next.cursor, id);
  }

  #retire(row: Row, at: Seq): void {
    this.#storage
      .prepare("UPDATE subscription SET active = 0, feeds = ?, until = ? WHERE id = ?")
      .run(JSON.stringify(endedSpans(feedsOf(row), at)), at, row.id!);
  }

  /** The last seq before a start. */
  #startAt(start: RouteFeed["start"], at: Seq): Seq {
    if (start === "now") return at;
    const oldest = this.#oldest(at);
    if (start === "beginning" || oldest > at) return oldest - 1;
    const timeOf = this.#storage.prepare("SELECT time FROM event WHERE seq >= ? ORDER BY seq LIMIT 1");
    let low = oldest - 1;
    let high = at;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const time = timeOf.get(middle)?.time;
      if (typeof time === "number" && time < start) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The lowest seq kept; `newest + 1` where none is. */
  #oldest(newest: Seq): Seq {
    const oldest = this.#storage.prepare("SELECT seq FROM event ORDER BY seq LIMIT 1").get()?.seq;
    return typeof oldest === "number" ? oldest : newest + 1;
  }

  // ------------------------------------------------------------------------------------------------- replay and purge

  #replay(seq: Seq, name: string, now: number, append: (event: NewEvent) => Seq): CommandValues["replay"] {
    const found = this.#storage.prepare("SELECT * FROM subscription WHERE name = ? AND active = 1").get(name);
    if (found === undefined) throw unknownSubscription(name);
    const event = this.#storage
      .prepare(
        `SELECT key, source, type, cause FROM event WHERE seq = ?1
         UNION ALL SELECT key, source, type, cause FROM kept WHERE seq = ?1`,
      )
      .get(seq);
    if (event === undefined) throw unknownEvent(seq);
    // A replay's own event stands for another.
    if (event.type === REPLAY_TYPE && typeof event.cause === "number") {
      return this.#replay(event.cause, name, now, append);
    }
    const subscription = Number(found.id);
    const replay = this.#nextReplay(subscription, seq);
    if (definitionOf(found).kind === "stream") {
      const routes = this.#fedBy(found, event);
      append(replayEvent(name, { seq, replay, routes }, now));
      for (const route of routes) this.#accounts.replayed(subscription, route);
      return { subscription, replay, routes, row: null };
    }
    const routes = feedsOf(found).map(({ route }) => route);
    for (const route of routes) this.#accounts.replayed(subscription, route);
    const row: DeliveryRow = {
      seq,
      replay,
      state: "retrying",
      key: typeof event.key === "string" ? event.key : null,
      attempts: 0,
      firstAttemptAt: null,
      due: now,
      delay: 0,
    };
    this.#put.run(subscription, seq, replay, row.state, row.key, 0, null, now, 0);
    return { subscription, replay, routes, row };
  }

  /**
   * The stream's present routes that take the event's source, or did; all of them where none does: a replay is a
   * person's order, which `from` doesn't stop.
   */
  #fedBy(stream: Row, event: Row): string[] {
    const source = String(
      this.#storage.prepare("SELECT name FROM source WHERE id = ?").get(event.source!)?.name,
    );
    const present = feedsOf(stream).filter(({ spans }) => spans.some(({ until }) => until === null));
    const taking = present.filter(({ spans }) => spans.some(({ sources }) => sources.includes(source)));
    return (taking.length > 0 ? taking : present).map(({ route }) => route);
  }

  /** Numbers go on where attempts were forgotten: a reply's id holds the number, and must not come twice. */
  #nextReplay(subscription: number, seq: Seq): number {
    const last = this.#storage
      .prepare(
        `SELECT max(n) AS n FROM (
           SELECT max(replay) AS n FROM attempt WHERE seq = ?2 AND subscription = ?1
           UNION ALL SELECT max(replay) FROM delivery WHERE subscription = ?1 AND seq = ?2
           UNION ALL SELECT max(max(replay), max(replays)) FROM dead WHERE subscription = ?1 AND seq = ?2)`,
      )
      .get(subscription, seq)?.n;
    const next = (typeof last === "number" ? last : 0) + 1;
    this.#storage
      .prepare("UPDATE dead SET replays = ? WHERE subscription = ? AND seq = ?")
      .run(next, subscription, seq);
    return next;
  }

  #purge(name: string): CommandValues["purge"] {
    const id = this.#storage.prepare("SELECT id FROM subscription WHERE name = ?").get(name)?.id;
    if (typeof id !== "number") throw unknownSubscription(name);
    const letters = this.#storage
      .prepare("SELECT seq, cause, holds FROM dead WHERE subscription = ?")
      .all(id);
    this.#storage.prepare("DELETE FROM dead WHERE subscription = ?").run(id);
    const unkeep = this.#storage.prepare(DELETE_UNUSED_COPY);
    for (const { seq, cause } of letters) {
      unkeep.run(seq!);
      if (cause !== null) unkeep.run(cause!);
    }
    const freed = letters.flatMap(({ seq, holds }) =>
      holds === null ? [] : [{ key: String(holds), seq: Number(seq) }],
    );
    return { count: letters.length, freed };
  }

  // ------------------------------------------------------------------------------------------------------------ load

  #stored(row: Row): StoredSubscription {
    const id = Number(row.id);
    const all = (sql: string) => this.#storage.prepare(sql).all(id);
    return {
      id,
      definition: definitionOf(row),
      active: row.active === 1,
      routes: feedsOf(row),
      cursor: Number(row.cursor),
      until: row.until === null ? null : Number(row.until),
      accounts: this.#accounts.of(id),
      rows: all("SELECT * FROM delivery WHERE subscription = ? ORDER BY seq, replay").map(deliveryRow),
      held: all("SELECT DISTINCT holds, seq FROM dead WHERE subscription = ? AND holds IS NOT NULL").map(
        ({ holds, seq }) => ({ key: String(holds), seq: Number(seq) }),
      ),
      crashed: all(`SELECT seq FROM suspicion WHERE subscription = ? AND times >= ${CRASHES}`).map(
        ({ seq }) => Number(seq),
      ),
    };
  }
}

function deliveryRow(row: Row): DeliveryRow {
  const number = (value: Row[string] | undefined) => (typeof value === "number" ? value : null);
  return {
    seq: Number(row.seq),
    replay: Number(row.replay),
    state: row.state as DeliveryRow["state"],
    key: typeof row.key === "string" ? row.key : null,
    attempts: Number(row.attempts),
    firstAttemptAt: number(row.first_attempt_at),
    due: number(row.due),
    delay: number(row.delay),
  };
}
