/**
 * Keeps deliveries of one key one after another (`order: key`). A lane is a key's head (on its way, or waiting for a
 * retry) and what is parked behind it; a key without a head has no lane.
 *
 * A held lane (`on_dead: hold`) has no head: it is kept by the dead letter of its last one until a person acts.
 */
import type { Seq } from "../../event.ts";
import type { Delivery } from "./delivery.ts";
import { Fifo } from "./fifo.ts";

interface Lane {
  head: Delivery | null;
  /** The dead letter that holds the key. */
  heldBy: Seq | null;
  /** Null until something parks: most lanes never have more than a head. */
  parked: Fifo<Delivery> | null;
}

export class Lanes {
  readonly #lanes = new Map<string, Lane>();
  /** How many deliveries are parked. */
  parked = 0;

  /** True: nothing is before it, it may go. False: it is parked behind its key's head. */
  enter(delivery: Delivery): boolean {
    const { key } = delivery;
    if (key === null || delivery.replay > 0) return true;
    const lane = this.#lanes.get(key);
    if (lane === undefined) {
      this.#lanes.set(key, { head: delivery, heldBy: null, parked: null });
      return true;
    }
    lane.parked ??= new Fifo();
    lane.parked.push(delivery);
    this.parked++;
    return false;
  }

  /** The delivery is settled: returns the next one of its key, which is now the head. */
  leave(delivery: Delivery): Delivery | null {
    const lane = delivery.key === null ? undefined : this.#lanes.get(delivery.key);
    return lane?.head === delivery ? this.#advance(delivery.key!, lane) : null;
  }

  /** A dead letter keeps its key until `free`. */
  hold(key: string, seq: Seq): void {
    const lane = this.#lanes.get(key);
    if (lane === undefined) this.#lanes.set(key, { head: null, heldBy: seq, parked: null });
    else {
      lane.head = null;
      lane.heldBy = seq;
    }
  }

  /** Ends the hold of this dead letter, or (seq null) whatever holds the key; returns the new head. */
  free(key: string, seq: Seq | null): Delivery | null {
    const lane = this.#lanes.get(key);
    if (lane === undefined || lane.heldBy === null || (seq !== null && lane.heldBy !== seq)) return null;
    lane.heldBy = null;
    return this.#advance(key, lane);
  }

  held(): { readonly key: string; readonly seq: Seq }[] {
    return [...this.#lanes].flatMap(([key, { heldBy }]) => (heldBy === null ? [] : [{ key, seq: heldBy }]));
  }

  /** A parked delivery was settled where it stands (expired, purged); its lane passes over it. */
  drop(): void {
    this.parked--;
  }

  clear(): void {
    this.#lanes.clear();
    this.parked = 0;
  }

  #advance(key: string, lane: Lane): Delivery | null {
    let next = lane.parked?.shift();
    while (next?.state === "gone") next = lane.parked?.shift();
    if (next === undefined) {
      this.#lanes.delete(key);
      return null;
    }
    this.parked--;
    lane.head = next;
    return next;
  }
}
