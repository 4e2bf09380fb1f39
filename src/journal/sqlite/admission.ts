/**
 * What one subscription makes of an event that it reads: whether it owes it, to which accounts, and, in a stream, whether
 * the event is a replay that stands for another (replay-event.ts).
 */
import { type Event, LEAT_SOURCE } from "../../event.ts";
import type { SubscriptionDefinition } from "../journal.ts";
import { Delivery } from "./delivery.ts";
import type { DeltaBuilder } from "./delta-builder.ts";
import type { Feeds, Owners } from "./feeds.ts";
import type { Wanted } from "./inflow.ts";
import { replayedBy } from "./replay-event.ts";

export class Admission implements Wanted {
  readonly #feeds: Feeds;
  readonly #definition: () => SubscriptionDefinition;

  constructor(feeds: Feeds, definition: () => SubscriptionDefinition) {
    this.#feeds = feeds;
    this.#definition = definition;
  }

  sources(): readonly string[] {
    const { sources } = this.#feeds;
    return this.#stream ? [...sources, LEAT_SOURCE] : sources;
  }

  owners(event: Event): Owners | undefined {
    const replay = this.#replay(event);
    return replay === null ? this.#feeds.owners(event.source, event.seq) : this.#feeds.named(replay.routes);
  }

  /** Among these may be one that is owed. */
  wants(bySource: ReadonlyMap<string, number>): boolean {
    return this.#stream && bySource.has(LEAT_SOURCE);
  }

  /** A delivery of an event that is read for the first time. */
  delivery(event: Event, owners: Owners, gathering: DeltaBuilder): Delivery {
    const replay = this.#replay(event)?.replay ?? 0;
    const delivery = new Delivery(event.seq, replay, event.key, owners);
    if (replay > 0) this.#unmatched(event, gathering);
    else delivery.historic = this.#feeds.historic(event.source, event.seq);
    for (const route of delivery.historic ?? []) this.#feeds.account(route)?.accept(1);
    return delivery;
  }

  /** Its event is in memory. True: it stood for another one, which `delivery.event` now is (null: that is nowhere). */
  unwrap(delivery: Delivery): boolean {
    const { event, cause, seq, replay } = delivery;
    if (!this.#stream || event === null) return false;
    const wraps = this.#replay(event) !== null;
    // Of one that was loaded from its row, only now is known who owes it.
    if (wraps || replay === 0) delivery.owners = this.owners(event) ?? delivery.owners;
    if (!wraps) return false;
    delivery.event = cause === null ? null : { ...cause, seq };
    delivery.cause = null;
    return true;
  }

  get #stream(): boolean {
    return this.#definition().kind === "stream";
  }

  #replay(event: Event): ReturnType<typeof replayedBy> {
    return this.#stream ? replayedBy(event, this.#definition().name) : null;
  }

  /** Where a stream is fed by `leat` itself, its replays' events are no events of that. */
  #unmatched(event: Event, gathering: DeltaBuilder): void {
    const owners = this.#feeds.owners(event.source, event.seq);
    if (owners === undefined) return;
    const delivery = new Delivery(event.seq, 0, null, owners);
    for (const route of owners.routes) gathering.settled(route, delivery, "filtered", false);
  }
}
