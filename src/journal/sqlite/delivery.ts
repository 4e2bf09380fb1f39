/** One delivery in the main thread's memory, and the lease that hands it out. */
import type { Event, Seq } from "../../event.ts";
import type { Lease } from "../journal.ts";
import type { Owners } from "./feeds.ts";

/**
 * - `parked`: waits for its key's head.
 * - `loading`: free to go, but its event (or its cause) is not in memory.
 * - `ready`: can be leased.
 * - `suspect`: as `ready`, but first it is recorded (after an unclean stop).
 * - `leased`: handed out.
 * - `settling`: a retry whose settlement is not committed; only then does it wait for its time.
 * - `retrying`: waits for its time.
 * - `gone`: settled; queues that still hold it pass over it.
 */
export type DeliveryState =
  | "parked"
  | "loading"
  | "ready"
  | "suspect"
  | "leased"
  | "settling"
  | "retrying"
  | "gone";

export class Delivery {
  readonly seq: Seq;
  readonly replay: number;
  readonly key: string | null;
  owners: Owners;
  state: DeliveryState = "ready";
  attempts = 0;
  /** Wall clock, ms. */
  firstAttemptAt: number | null = null;
  /** It is counted as retrying, not as pending. */
  retried = false;
  /** It has a row on disk, or in a delta on its way there. */
  row = false;
  /** Routes that count it as accepted when it is first settled or passed, being from before their start (`Feeds.historic`). */
  historic: readonly string[] | null = null;
  event: Event | null = null;
  cause: Event | null = null;
  /** When a retry is due; monotonic, ms. */
  due = 0;
  /** Since when nothing but its receiver holds it back; wall clock, ms. The backlog's age runs from here. */
  freeSince = 0;
  lease: DeliveryLease | null = null;
  /** Among those that the cursor has not passed (`Unsettled`). */
  place = -1;
  /** Purged while it was in flight: it is not tried again. */
  letGo = false;

  constructor(seq: Seq, replay: number, key: string | null, owners: Owners) {
    this.seq = seq;
    this.replay = replay;
    this.key = key;
    this.owners = owners;
  }
}

/** Identifies a delivery within its subscription. The original's is its seq, so that the common case allocates nothing. */
export type RowKey = number | string;

export function rowKey(seq: Seq, replay: number): RowKey {
  return replay === 0 ? seq : `${seq}/${replay}`;
}

export class DeliveryLease implements Lease {
  readonly delivery: Delivery;
  readonly event: Event;
  readonly cause: Event | null;
  readonly attempt: number;
  readonly firstAttemptAt: number | null;
  readonly replay: number;
  readonly routes: readonly string[];

  constructor(delivery: Delivery, event: Event) {
    this.delivery = delivery;
    this.event = event;
    this.cause = delivery.cause;
    this.attempt = delivery.attempts + 1;
    this.firstAttemptAt = delivery.firstAttemptAt;
    this.replay = delivery.replay;
    this.routes = delivery.owners.routes;
  }
}
