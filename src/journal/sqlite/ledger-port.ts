/**
 * What the writer needs of the ledger's tables. `ledger-store.ts` implements it; every call but `load` runs inside the
 * writer's transaction, so that events and what is owed of them are one commit.
 */
import type { NewEvent, Seq } from "../../event.ts";
import type { Command, SubscriptionDelta } from "./group.ts";
import type { Storage } from "./storage.ts";

export interface LedgerStore {
  /** Events were appended, the last one with seq `through`: counts them as accepted and pending where they are owed. */
  appended(bySource: ReadonlyMap<string, number>, through: Seq): void;
  /** One subscription's settlements. */
  apply(delta: SubscriptionDelta, now: number): void;
  /**
   * A rare command, in a transaction of its own. What it returns is posted to the main thread as it is.
   * `append` adds an event in the same commit (a replay into a stream); it is counted like any.
   */
  command(command: Command, append: (event: NewEvent) => Seq, newest: Seq): unknown;
  /** All that the main thread needs to start from; posted to it as it is. Read-only. */
  load(): unknown;
  /** The transaction was rolled back: forget what was cached from it. */
  rolledBack(): void;
}

export type CreateLedgerStore = (storage: Storage) => LedgerStore;

/** Until there are subscriptions: a journal that owes nothing. Also for tests of the log alone. */
export const noLedger: CreateLedgerStore = () => ({
  appended() {},
  apply() {},
  command: () => null,
  load: () => null,
  rolledBack() {},
});
