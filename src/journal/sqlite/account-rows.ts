/** The rows of `account`: J3 on disk. Each statement moves columns; none reads them to work out another. */

import type { Counts } from "../journal.ts";
import type { AccountDelta } from "./group.ts";
import type { Row, Statement, Storage } from "./storage.ts";
import { feedsOf } from "./subscription-row.ts";

/** One row; `inFlight` is memory's and missing here. */
export interface AccountColumns {
  readonly route: string;
  readonly counts: Columns;
  readonly replays: Columns;
}

type Columns = Omit<Counts, "inFlight">;

/** As the table has them. */
export const ACCOUNT_COLUMNS = [
  "accepted",
  "pending",
  "retrying",
  "filtered",
  "delivered",
  "dead",
  "expired",
  "purged",
] as const satisfies readonly (keyof Columns)[];

export class AccountRows {
  readonly #storage: Storage;
  readonly #append: Statement;
  readonly #move: Statement;
  readonly #moveReplay: Statement;
  readonly #replayed: Statement;
  readonly #select: Statement;
  /** Which accounts count an event when it is appended; null: to be worked out anew. */
  #bySource: Map<string, { id: number; route: string }[]> | null = null;

  constructor(storage: Storage) {
    const where = "WHERE subscription = ? AND route = ?";
    this.#storage = storage;
    this.#append = storage.prepare(
      `UPDATE account SET accepted = accepted + ?, pending = pending + ? ${where}`,
    );
    const moves = (prefix: string) =>
      ACCOUNT_COLUMNS.map((c) => `${prefix}${c} = ${prefix}${c} + ?`).join(", ");
    this.#move = storage.prepare(`UPDATE account SET ${moves("")} ${where}`);
    this.#moveReplay = storage.prepare(`UPDATE account SET ${moves("replay_")} ${where}`);
    this.#replayed = storage.prepare(
      `UPDATE account SET replay_accepted = replay_accepted + 1, replay_pending = replay_pending + 1 ${where}`,
    );
    this.#select = storage.prepare("SELECT * FROM account WHERE subscription = ?");
  }

  add(subscription: number, route: string): void {
    this.#storage
      .prepare("INSERT OR IGNORE INTO account (subscription, route) VALUES (?, ?)")
      .run(subscription, route);
  }

  rename(subscription: number, from: string, to: string): void {
    this.#storage
      .prepare("UPDATE account SET route = ? WHERE subscription = ? AND route = ?")
      .run(to, subscription, from);
    this.#storage
      .prepare("UPDATE dead SET route = ? WHERE subscription = ? AND route = ?")
      .run(to, subscription, from);
  }

  /** Events were appended: accepted and pending wherever they are owed. */
  appended(bySource: ReadonlyMap<string, number>): void {
    this.#bySource ??= this.#index();
    for (const [source, count] of bySource) {
      for (const { id, route } of this.#bySource.get(source) ?? []) this.#append.run(count, count, id, route);
    }
  }

  move(subscription: number, delta: AccountDelta): void {
    const values = ACCOUNT_COLUMNS.map((column) => delta[column]);
    const statement = delta.replay ? this.#moveReplay : this.#move;
    if (Number(statement.run(...values, subscription, delta.route).changes) > 0) return;
    // Settled under the route's former name: a pushed subscription has one account.
    const only = this.of(subscription);
    if (only.length === 1) statement.run(...values, subscription, only[0]!.route);
  }

  replayed(subscription: number, route: string): void {
    this.#replayed.run(subscription, route);
  }

  owed(subscription: number): number {
    return this.of(subscription).reduce((sum, { counts }) => sum + counts.pending + counts.retrying, 0);
  }

  of(subscription: number): AccountColumns[] {
    return this.#select.all(subscription).map((row) => ({
      route: String(row.route),
      counts: columns(row, ""),
      replays: columns(row, "replay_"),
    }));
  }

  /** Spans have changed, or a transaction was rolled back. */
  forget(): void {
    this.#bySource = null;
  }

  #index(): Map<string, { id: number; route: string }[]> {
    const index = new Map<string, { id: number; route: string }[]>();
    for (const row of this.#storage.prepare("SELECT id, feeds FROM subscription").all()) {
      for (const { route, spans } of feedsOf(row)) {
        for (const source of spans.find(({ until }) => until === null)?.sources ?? []) {
          const accounts = index.get(source) ?? [];
          accounts.push({ id: Number(row.id), route });
          index.set(source, accounts);
        }
      }
    }
    return index;
  }
}

function columns(row: Row, prefix: string): Columns {
  return Object.fromEntries(
    ACCOUNT_COLUMNS.map((column) => [column, Number(row[prefix + column])]),
  ) as unknown as Columns;
}
