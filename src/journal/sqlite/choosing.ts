/**
 * Which delivery goes next: what Turns has ready, else what is new, read and admitted until one may go at once. After an
 * unclean stop it is recorded first (singly.ts). What can't be attempted is dead on the way.
 */
import type { Event } from "../../event.ts";
import type { SubscriptionDefinition } from "../journal.ts";
import type { Admission } from "./admission.ts";
import type { Delivery } from "./delivery.ts";
import { DAMAGED_TYPE } from "./event-row.ts";
import type { Owners } from "./feeds.ts";
import type { Inflow } from "./inflow.ts";
import type { LettingGo } from "./letting-go.ts";
import type { Outbox } from "./outbox.ts";
import type { Settling } from "./settling.ts";
import type { Singly } from "./singly.ts";
import type { Turns } from "./turns.ts";
import type { Unsettled } from "./unsettled.ts";

/** Deliveries parked behind their keys, and deliveries with rows of any kind, before nothing new is read. */
const MAX_PARKED = 10_000;
const MAX_ROWS = 50_000;

export interface ChoosingHost {
  readonly admission: Admission;
  readonly inflow: Inflow;
  readonly turns: Turns;
  readonly unsettled: Unsettled;
  readonly lettingGo: LettingGo;
  readonly settling: Settling;
  readonly outbox: Outbox;
  definition(): SubscriptionDefinition;
  /** How many leases are out. */
  leased(): number;
  /** Something may be leased that could not before. */
  ready(): void;
}

export class Choosing {
  /** While it is worked singly. */
  singly: Singly | null = null;
  readonly #host: ChoosingHost;

  constructor(host: ChoosingHost) {
    this.#host = host;
  }

  /** False while so much waits that nothing new is read: then what is unread isn't late by its own fault. */
  get reading(): boolean {
    return this.#host.turns.parked < MAX_PARKED && this.#host.unsettled.rows < MAX_ROWS;
  }

  next(): Delivery | null {
    return this.#host.turns.next() ?? this.#fresh();
  }

  /** The one that goes alone, once it is on disk that it does; null: not yet, or there is none. */
  nextSingly(singly: Singly): Delivery | null {
    if (singly.candidate !== null) return singly.take();
    const { turns, outbox } = this.#host;
    const candidate = this.next();
    turns.prefetch();
    if (candidate !== null) {
      candidate.state = "suspect";
      singly.propose(candidate);
      outbox.gathering.suspect = candidate.seq;
      outbox.gathering.some = true;
      outbox.changed();
    } else if (turns.idle) singly.noRows();
    return null;
  }

  /** What was to be evaluated next is not, for now. */
  withdraw(): void {
    const candidate = this.singly?.withdraw() ?? null;
    if (candidate === null) return;
    candidate.state = "ready";
    this.#host.outbox.gathering.clear(candidate.seq);
    this.#host.outbox.changed();
  }

  /** Takes in a new event; null when it can't be leased now. */
  admit(event: Event, owners: Owners): Delivery | null {
    const { admission, outbox, lettingGo, unsettled, turns } = this.#host;
    const delivery = admission.delivery(event, owners, outbox.gathering);
    lettingGo.interrupted();
    delivery.event = event;
    delivery.freeSince = event.time;
    unsettled.add(delivery);
    if (!turns.enter(delivery, this.#host.definition().order)) return null;
    if (this.#unfit(delivery)) return null;
    if (!turns.want(delivery)) return null;
    if (delivery.replay === 0) return delivery;
    this.loaded(delivery);
    return null;
  }

  /** Its event (or null: there is none) and its cause are in memory. */
  loaded(delivery: Delivery): void {
    const { admission, turns } = this.#host;
    const unwrapped = admission.unwrap(delivery);
    if (unwrapped && delivery.event !== null && !turns.want(delivery)) {
      turns.prefetch();
      return;
    }
    if (!this.#unfit(delivery)) turns.ready(delivery);
    turns.prefetch();
    this.#host.ready();
  }

  /** The next new delivery that may go at once; those that may not are parked or read on the way. */
  #fresh(): Delivery | null {
    const { lettingGo, inflow, unsettled } = this.#host;
    while (this.reading && !lettingGo.running) {
      // By seq: nothing goes while something before it waits for anything but its lease's end.
      if (this.#host.definition().order === "seq" && unsettled.size > this.#host.leased()) return null;
      const fresh = inflow.take();
      if (fresh === null) return null;
      const delivery = this.admit(fresh.event, fresh.owners);
      if (delivery !== null) return delivery;
    }
    return null;
  }

  /** What can't be attempted is dead at once. */
  #unfit(delivery: Delivery): boolean {
    const { settling, outbox } = this.#host;
    const { event, seq } = delivery;
    if (event === null) {
      settling.die(delivery, "event_missing", "The event is no longer in the journal.", false);
    } else if (event.type === DAMAGED_TYPE) {
      settling.die(delivery, "damaged_row", "The event's row in the journal fails its checksum.", false);
    } else if (this.singly?.crashed.has(seq)) {
      outbox.gathering.clear(seq);
      settling.die(delivery, "crashed", "Leat stopped uncleanly three times while it worked on it.", false);
    } else return false;
    outbox.changed();
    return true;
  }
}
