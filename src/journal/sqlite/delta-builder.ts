/** What one subscription gathers between two of its deltas: merged rows and sums, and who waits for the commit. */
import type { NewEvent, Seq } from "../../event.ts";
import type { Outcome } from "./account.ts";
import { ACCOUNT_COLUMNS } from "./account-rows.ts";
import { type Delivery, type RowKey, rowKey } from "./delivery.ts";
import type { TakenDelta } from "./delta.ts";
import type { AccountDelta, AttemptRow, DeadRow, DeliveryRow, SubscriptionDelta } from "./group.ts";

type AccountMoves = { -readonly [K in keyof AccountDelta]: AccountDelta[K] };
type Indexed = NonNullable<SubscriptionDelta["indexed"]>[number];
type Expired = { from: Seq; to: Seq; reason: string };

/** A delta with what the main thread does once it is on disk. */
export interface Gathered extends TakenDelta {
  /** Retries, which wait for their time from the commit on. */
  readonly retries: readonly Delivery[];
  readonly waiting: readonly PromiseWithResolvers<void>[];
  /** How many leases it settles. */
  readonly settlements: number;
}

export class DeltaBuilder {
  #accounts = new Map<string, AccountMoves>();
  #put = new Map<RowKey, DeliveryRow>();
  #remove = new Map<RowKey, { seq: Seq; replay: number }>();
  #attempts: AttemptRow[] = [];
  #dead: DeadRow[] = [];
  #expired: Expired[] = [];
  #freed: Seq[] = [];
  #raises: NewEvent[] = [];
  #retries: Delivery[] = [];
  #waiting: PromiseWithResolvers<void>[] = [];
  #promise: PromiseWithResolvers<void> | null = null;
  /** The last route's moves: mostly the next one's too. */
  #last: AccountMoves | null = null;
  #cleared: Seq[] = [];
  #indexed: Indexed[] = [];
  /** After an unclean stop: what is about to be evaluated. */
  suspect: Seq | null = null;
  /** How many leases were settled. */
  settlements = 0;
  /** False: nothing that must be written, whatever the cursor does. */
  some = false;

  /** Resolves with the commit of the next delta; one for all that is in it. */
  get promise(): Promise<void> {
    if (this.#promise === null) {
      this.#promise = Promise.withResolvers();
      // Nobody has to wait for it; losing the journal is told elsewhere too.
      this.#promise.promise.catch(() => {});
      this.#waiting.push(this.#promise);
    }
    this.some = true;
    return this.#promise.promise;
  }

  /** A delivery has ended in one route's account. `leased`: it was in flight until now. */
  settled(route: string, delivery: Delivery, outcome: Outcome, leased: boolean): void {
    const moves = this.#moves(route, delivery.replay > 0);
    if (delivery.historic?.includes(route)) accept(moves);
    moves[delivery.retried ? "retrying" : "pending"]--;
    moves[outcome]++;
    if (leased) moves[delivery.retried ? "endedRetrying" : "endedPending"]++;
    this.some = true;
  }

  /** A leased delivery will be tried again. */
  retried(route: string, delivery: Delivery): void {
    const moves = this.#moves(route, delivery.replay > 0);
    if (delivery.historic?.includes(route)) accept(moves);
    moves[delivery.retried ? "retrying" : "pending"]--;
    moves.retrying++;
    moves[delivery.retried ? "endedRetrying" : "endedPending"]++;
    this.some = true;
  }

  /** The cursor passes an event from before the account's start: from now on it counts on disk too. */
  accepted(route: string): void {
    accept(this.#moves(route, false));
    this.some = true;
  }

  put(row: DeliveryRow): void {
    const key = rowKey(row.seq, row.replay);
    this.#remove.delete(key);
    this.#put.set(key, row);
    this.some = true;
  }

  remove(seq: Seq, replay: number): void {
    const key = rowKey(seq, replay);
    this.#put.delete(key);
    this.#remove.set(key, { seq, replay });
    this.some = true;
  }

  attempt(row: AttemptRow): void {
    this.#attempts.push(row);
    this.some = true;
  }

  dead(row: DeadRow): void {
    this.#dead.push(row);
  }

  raise(events: readonly NewEvent[]): void {
    this.#raises.push(...events);
  }

  retry(delivery: Delivery): void {
    this.#retries.push(delivery);
  }

  free(seq: Seq): void {
    this.#freed.push(seq);
  }

  clear(suspect: Seq): void {
    if (this.suspect === suspect) this.suspect = null;
    this.#cleared.push(suspect);
    this.some = true;
  }

  indexed(routes: readonly string[], through: Seq): void {
    this.#indexed.push({ routes, through });
    this.some = true;
  }

  /** `joined`: nothing else lies between it and the one before. */
  expire(seq: Seq, reason: string, joined: boolean): void {
    const last = this.#expired.at(-1);
    if (joined && last !== undefined && last.reason === reason) last.to = seq;
    else this.#expired.push({ from: seq, to: seq, reason });
  }

  /** The delta; the builder must not be used afterwards. */
  build(subscription: number, cursor: Seq): Gathered {
    const delta: SubscriptionDelta = {
      subscription,
      cursor,
      accounts: [...this.#accounts.values()],
      put: [...this.#put.values()],
      remove: [...this.#remove.values()],
      attempts: this.#attempts,
      dead: this.#dead,
      expired: this.#expired,
      freed: this.#freed,
      suspect: this.suspect,
      cleared: this.#cleared,
      ...(this.#indexed.length === 0 ? {} : { indexed: this.#indexed }),
    };
    return {
      delta,
      raises: this.#raises,
      retries: this.#retries,
      waiting: this.#waiting,
      settlements: this.settlements,
    };
  }

  /** Puts a delta that could not be committed before what was gathered since. */
  prepend({ delta, raises, retries, waiting, settlements }: Gathered): void {
    this.settlements += settlements;
    for (const moves of delta.accounts) add(this.#moves(moves.route, moves.replay), moves);
    for (const row of delta.put) {
      const key = rowKey(row.seq, row.replay);
      if (!this.#put.has(key) && !this.#remove.has(key)) this.#put.set(key, row);
    }
    for (const row of delta.remove) {
      const key = rowKey(row.seq, row.replay);
      if (!this.#put.has(key)) this.#remove.set(key, row);
    }
    this.#attempts = [...delta.attempts, ...this.#attempts];
    this.#dead = [...delta.dead, ...this.#dead];
    this.#expired = [...delta.expired, ...this.#expired];
    this.#freed = [...delta.freed, ...this.#freed];
    this.#raises = [...raises, ...this.#raises];
    this.#retries = [...retries, ...this.#retries];
    this.#waiting = [...waiting, ...this.#waiting];
    this.#cleared = [...delta.cleared, ...this.#cleared];
    this.suspect ??= delta.suspect;
    this.#indexed = [...(delta.indexed ?? []), ...this.#indexed];
    this.some = true;
  }

  fail(error: Error): void {
    for (const { reject } of this.#waiting) reject(error);
    this.#waiting = [];
  }

  #moves(route: string, replay: boolean): AccountMoves {
    const last = this.#last;
    if (last !== null && last.route === route && last.replay === replay) return last;
    const key = replay ? `r/${route}` : route;
    let moves = this.#accounts.get(key);
    if (moves === undefined) {
      moves = {
        route,
        replay,
        accepted: 0,
        pending: 0,
        retrying: 0,
        filtered: 0,
        delivered: 0,
        dead: 0,
        expired: 0,
        purged: 0,
        endedPending: 0,
        endedRetrying: 0,
      };
      this.#accounts.set(key, moves);
    }
    this.#last = moves;
    return moves;
  }
}

function accept(moves: AccountMoves): void {
  moves.accepted++;
  moves.pending++;
}

const SUMS = [...ACCOUNT_COLUMNS, "endedPending", "endedRetrying"] as const;

function add(to: AccountMoves, from: AccountDelta): void {
  for (const column of SUMS) to[column] += from[column];
}
