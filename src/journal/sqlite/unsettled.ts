/**
 * A subscription's deliveries that are not settled, and how far its cursor may stand.
 *
 * What lies between the cursor and the next event to be read is in `open`, in seq order; what the cursor has passed, what
 * waits for a retry, and replays have a row each. The cursor stands before the first of `open`; when a delta is taken and
 * something behind that is settled, it passes to there, and what it passes gets rows: at most `concurrency` that are in
 * flight, and what is parked. So counts on disk, cursor and rows always tell the same.
 */
import type { Seq } from "../../event.ts";
import { type Delivery, type RowKey, rowKey } from "./delivery.ts";
import type { DeltaBuilder } from "./delta-builder.ts";
import { Window } from "./window.ts";

export class Unsettled {
  readonly #open = new Window<Delivery>();
  readonly #rows = new Map<RowKey, Delivery>();
  /** The highest seq that was settled, or given a row. */
  #settledTo: Seq = 0;

  get size(): number {
    return this.#open.size + this.#rows.size;
  }

  get rows(): number {
    return this.#rows.size;
  }

  /** An event that was read; in seq order. */
  add(delivery: Delivery): void {
    this.#open.push(delivery);
  }

  /** It has a row on disk already. */
  load(delivery: Delivery): void {
    delivery.row = true;
    this.#rows.set(rowKey(delivery.seq, delivery.replay), delivery);
  }

  /** It gets a row: the cursor may pass it, and has to, lest it be read as new after a restart. */
  giveRow(delivery: Delivery): void {
    if (delivery.row) return;
    this.#open.delete(delivery);
    this.load(delivery);
    this.settledUpTo(delivery.seq);
  }

  /** Nothing of it is left to write but the removal of its row. */
  settle(delivery: Delivery, gathering: DeltaBuilder): void {
    delivery.state = "gone";
    if (delivery.row) {
      gathering.remove(delivery.seq, delivery.replay);
      this.#rows.delete(rowKey(delivery.seq, delivery.replay));
    } else {
      this.#open.delete(delivery);
      this.settledUpTo(delivery.seq);
    }
  }

  settledUpTo(seq: Seq): void {
    if (seq > this.#settledTo) this.#settledTo = seq;
  }

  /** The cursor of a delta: gives rows to what it passes. `next` is the next seq to be read. */
  advance(gathering: DeltaBuilder, next: Seq): Seq {
    for (const delivery of this.#open) {
      if (delivery.seq > this.#settledTo) break;
      const { seq, replay, key, attempts, firstAttemptAt } = delivery;
      const state = delivery.state === "parked" ? "parked" : "leased";
      gathering.put({ seq, replay, state, key, attempts, firstAttemptAt, due: null, delay: null });
      for (const route of delivery.historic ?? []) gathering.accepted(route);
      delivery.historic = null;
      this.giveRow(delivery);
    }
    return this.cursor(next);
  }

  /** Where the cursor may stand without giving any rows. */
  cursor(next: Seq): Seq {
    return (this.#open.first?.seq ?? next) - 1;
  }

  /** The lowest seq; infinite when there is none. `replays`: of those too, as a stream's are events like any other. */
  oldest(replays = false): Seq {
    let oldest = this.#open.first?.seq ?? Number.POSITIVE_INFINITY;
    for (const { seq, replay } of this.#rows.values()) {
      if (seq < oldest && (replays || replay === 0)) oldest = seq;
    }
    return oldest;
  }

  /** One that the cursor has not passed. */
  get(seq: Seq): Delivery | undefined {
    return this.#open.get(seq);
  }

  /** Any of them may be settled on the way. */
  *[Symbol.iterator](): Iterator<Delivery> {
    yield* this.#rows.values();
    yield* this.#open;
  }

  inOrder(): Delivery[] {
    return [...this].sort((a, b) => a.seq - b.seq);
  }
}
