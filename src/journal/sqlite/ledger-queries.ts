/**
 * What the people's reader thread answers about deliveries: what became of an event, dead letters, refusals, the latest
 * events. Synchronous, over a read-only storage.
 */
import type { Event, Seq } from "../../event.ts";
import { LEAT_SOURCE, NO_HEADERS } from "../../event.ts";
import type { AttemptRecord, DeadLetter, DeliveryHistory, Refusal } from "../journal.ts";
import { damagedEvent, EVENT_COLUMNS, toEvent } from "./event-row.ts";
import { SourceNames } from "./source-names.ts";
import { statements } from "./statements.ts";
import type { Row, SqlValue, Statement, Storage } from "./storage.ts";
import { feedsOf } from "./subscription-row.ts";

/** Events looked through for an id that only the event's row has. */
const SCAN = 100_000;

export class LedgerQueries {
  readonly #sources: SourceNames;
  readonly #prepare: (sql: string) => Statement;

  constructor(storage: Storage) {
    this.#prepare = statements(storage);
    this.#sources = new SourceNames(storage, { readOnly: true });
  }

  /** One entry for each delivery of the event: of each subscription that owes it, and of each replay. */
  deliveries(seq: Seq): DeliveryHistory[] {
    const event = this.#event(seq);
    const history: DeliveryHistory[] = [];
    for (const row of this.#all("SELECT id, name, cursor, until, feeds FROM subscription ORDER BY name")) {
      const found = this.#replays(Number(row.id), seq);
      if (event !== null && owes(row, event)) found.add(0);
      for (const replay of [...found].sort((a, b) => a - b)) history.push(this.#delivery(row, seq, replay));
    }
    return history;
  }

  /** Newest event first; `before` pages by the event's seq. */
  dead(query: { subscription?: string; before?: Seq; limit: number }): DeadLetter[] {
    const { subscription = null, before = Number.MAX_SAFE_INTEGER, limit } = query;
    const rows = this.#all(
      `SELECT subscription.name AS subscription, dead.seq, replay, route, at, error, message, attempts, dead.cause
       FROM dead JOIN subscription ON subscription.id = dead.subscription
       WHERE dead.seq < ?1 AND (?2 IS NULL OR subscription.name = ?2)
       ORDER BY dead.seq DESC, dead.subscription, replay DESC LIMIT ?3`,
      before,
      subscription,
      limit,
    );
    return rows.map((row) => ({
      subscription: String(row.subscription),
      route: String(row.route),
      replay: Number(row.replay),
      at: Number(row.at),
      error: String(row.error),
      message: String(row.message),
      attempts: Number(row.attempts),
      event: this.#event(Number(row.seq)) ?? missingEvent(Number(row.seq), Number(row.at)),
      cause: typeof row.cause === "number" ? this.#event(row.cause) : null,
    }));
  }

  /** Newest first. */
  refusals(limit: number): Refusal[] {
    return this.#all("SELECT * FROM refusal ORDER BY id DESC LIMIT ?", limit).map((row) => ({
      at: Number(row.at),
      source: String(row.source),
      reason: String(row.reason),
      address: String(row.address),
      count: Number(row.count),
      detail: String(row.detail),
      body: row.body instanceof Uint8Array ? row.body : null,
    }));
  }

  /** Newest first. */
  events(query: { before?: Seq; limit: number; source?: string; id?: string }): Event[] {
    const { before = Number.MAX_SAFE_INTEGER, limit, source, id } = query;
    const number = source === undefined ? null : (this.#sources.id(source) ?? -1);
    // Without an index the latest events are looked through: a person's search must not read the whole journal.
    const newest = Number(this.#all("SELECT seq FROM sqlite_sequence WHERE name = 'event'")[0]?.seq ?? 0);
    const end = Math.min(before, newest + 1);
    const rows = this.#all(
      `SELECT ${EVENT_COLUMNS} FROM event WHERE seq < ?1 AND seq >= ?2
       AND (?3 IS NULL OR source = ?3) AND (?4 IS NULL OR id = ?4) ORDER BY seq DESC LIMIT ?5`,
      end,
      number === null && id === undefined ? 0 : end - SCAN,
      number,
      id ?? null,
      limit,
    );
    return rows.map((row) => this.#shown(row));
  }

  #replays(subscription: number, seq: Seq): Set<number> {
    const rows = this.#all(
      `SELECT replay FROM attempt WHERE seq = ?2 AND subscription = ?1
       UNION SELECT replay FROM delivery WHERE subscription = ?1 AND seq = ?2
       UNION SELECT replay FROM dead WHERE subscription = ?1 AND seq = ?2`,
      subscription,
      seq,
    );
    return new Set(rows.map(({ replay }) => Number(replay)));
  }

  #delivery(subscription: Row, seq: Seq, replay: number): DeliveryHistory {
    const id = Number(subscription.id);
    const attempts = this.#all(
      "SELECT * FROM attempt WHERE seq = ? AND subscription = ? AND replay = ? ORDER BY n",
      seq,
      id,
      replay,
    ).map(attemptRecord);
    const row = this.#all(
      "SELECT state, attempts, due FROM delivery WHERE subscription = ? AND seq = ? AND replay = ?",
      id,
      seq,
      replay,
    )[0];
    const state = row === undefined ? this.#ended(subscription, seq, replay) : waiting(row);
    const dueAt = state === "retrying" && typeof row?.due === "number" ? row.due : null;
    return { subscription: String(subscription.name), replay, state, dueAt, attempts };
  }

  /** The state of a delivery that has no row: settled in some way, or not yet passed by the cursor. */
  #ended({ id, cursor }: Row, seq: Seq, replay: number): DeliveryHistory["state"] {
    const one = (sql: string, ...values: SqlValue[]) => this.#all(sql, ...values)[0];
    if (one("SELECT 1 FROM dead WHERE subscription = ? AND seq = ? AND replay = ?", id!, seq, replay)) {
      return "dead";
    }
    if (replay > 0) return "settled";
    const range = one(
      "SELECT last, reason FROM expiry WHERE subscription = ? AND first <= ? ORDER BY first DESC LIMIT 1",
      id!,
      seq,
    );
    if (range !== undefined && Number(range.last) >= seq) {
      return range.reason === "purged" ? "purged" : "expired";
    }
    return seq <= Number(cursor) ? "settled" : "pending";
  }

  #event(seq: Seq): Event | null {
    const select = (table: string) => `SELECT ${EVENT_COLUMNS} FROM ${table} WHERE seq = ?`;
    const row = this.#all(select("event"), seq)[0] ?? this.#all(select("kept"), seq)[0];
    return row === undefined ? null : this.#shown(row);
  }

  #shown(row: Row): Event {
    return toEvent(row, this.#sources.name) ?? damagedEvent(row, this.#sources.name);
  }

  #all(sql: string, ...values: SqlValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }
}

function owes(subscription: Row, event: Event): boolean {
  return feedsOf(subscription).some(({ spans }) =>
    spans.some(
      ({ after, until, sources }) =>
        event.seq > after && (until === null || event.seq <= until) && sources.includes(event.source),
    ),
  );
}

function waiting({ state, attempts }: Row): DeliveryHistory["state"] {
  if (state === "parked") return "parked";
  return state === "retrying" && Number(attempts) > 0 ? "retrying" : "pending";
}

function attemptRecord(row: Row): AttemptRecord {
  const text = (value: SqlValue | undefined) => (typeof value === "string" ? value : null);
  return {
    at: Number(row.at),
    ms: Number(row.ms),
    outcome: row.outcome as AttemptRecord["outcome"],
    status: typeof row.status === "number" ? row.status : null,
    error: text(row.error),
    message: text(row.message),
    answer: row.answer instanceof Uint8Array ? row.answer : null,
  };
}

/** Stands for the event of a dead letter that says it was nowhere. */
function missingEvent(seq: Seq, at: number): Event {
  return {
    seq,
    source: LEAT_SOURCE,
    id: `missing/${seq}`,
    type: "leat.missing",
    subject: null,
    key: null,
    time: at,
    headers: NO_HEADERS,
    body: new Uint8Array(0),
    hops: 0,
    cause: null,
  };
}
