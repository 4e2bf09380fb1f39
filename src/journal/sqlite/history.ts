/** `History` over the people's reader, and refusals on their way to the journal. */
import type { NewRefusal } from "../../component.ts";
import type { Event, Seq } from "../../event.ts";
import type { DeliveryHistory, History, Refusal } from "../journal.ts";
import type { LedgerQueries } from "./ledger-queries.ts";
import type { Asked } from "./reader.ts";
import type { RefusalQueue } from "./refusals.ts";

export type AskedLedger = Asked<Pick<LedgerQueries, "deliveries" | "dead" | "refusals" | "events">>;

/** For `Reader.proxy`. */
export const LEDGER_QUERIES = ["deliveries", "dead", "refusals", "events"] as const;

export class SqliteHistory implements History {
  readonly #queries: AskedLedger;
  readonly #refusals: RefusalQueue;

  constructor(queries: AskedLedger, refusals: RefusalQueue) {
    this.#queries = queries;
    this.#refusals = refusals;
  }

  deliveries(seq: Seq): Promise<DeliveryHistory[]> {
    return this.#queries.deliveries(seq);
  }

  refusals(limit: number): Promise<Refusal[]> {
    return this.#queries.refusals(limit);
  }

  events(query: { before?: Seq; limit: number; source?: string; id?: string }): Promise<Event[]> {
    return this.#queries.events(query);
  }

  refuse(refusal: NewRefusal): void {
    this.#refusals.refuse(refusal);
  }
}
