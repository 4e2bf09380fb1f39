/**
 * How a delivery ends, or waits to be tried again: what that moves in its accounts, rows and dead letters, and whose turn
 * it is then.
 */
import type { Clock } from "../../ports.ts";
import type { Settlement, SubscriptionDefinition } from "../journal.ts";
import type { Outcome } from "./account.ts";
import type { Delivery } from "./delivery.ts";
import type { DeltaBuilder } from "./delta-builder.ts";
import type { Outbox } from "./outbox.ts";
import type { Turns } from "./turns.ts";
import type { Unsettled } from "./unsettled.ts";

export interface SettlingHost {
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly turns: Turns;
  readonly unsettled: Unsettled;
  definition(): SubscriptionDefinition;
  /** Something was settled: what is let go on its own is no longer the last thing that happened. */
  interrupted(): void;
}

export class Settling {
  readonly #host: SettlingHost;

  constructor(host: SettlingHost) {
    this.#host = host;
  }

  /** What its lease ended with. */
  settle(delivery: Delivery, settlement: Settlement): void {
    switch (settlement.outcome) {
      case "filtered":
      case "delivered":
        this.#finish(delivery, settlement.outcome, true);
        if (delivery.replay > 0) this.#freeByReplay(delivery);
        break;
      case "retry":
        if (delivery.letGo) this.purge(delivery, true);
        else this.#retry(delivery, settlement.delayMs);
        break;
      case "dead":
        this.die(delivery, settlement.error, settlement.message, true);
        break;
      case "streamed":
        this.#streamed(delivery, settlement.routes);
        break;
    }
  }

  /** `leased`: it was in flight until now. */
  die(delivery: Delivery, error: string, message: string, leased: boolean): void {
    const { turns } = this.#host;
    const { key, replay, seq } = delivery;
    const { order, onDead } = this.#host.definition();
    const held = order === "key" && onDead === "hold" && replay === 0 ? key : null;
    for (const route of delivery.owners.routes) {
      this.#gathering.settled(route, delivery, "dead", leased);
      this.#bury(delivery, route, error, message, held);
    }
    this.#forget(delivery);
    if (held !== null) turns.hold(held, seq);
    else turns.leave(delivery);
  }

  /** Settled without an attempt while it waited. */
  drop(delivery: Delivery, outcome: Outcome): void {
    if (delivery.state === "parked") this.#host.turns.unpark(delivery);
    this.#finish(delivery, outcome, false);
  }

  /** It was in flight when its subscription was purged. */
  purge(delivery: Delivery, leased: boolean): void {
    if (delivery.replay === 0) this.#gathering.expire(delivery.seq, "purged", false);
    this.#finish(delivery, "purged", leased);
    this.#host.outbox.changed();
  }

  /** A retry's settlement is on disk: now it waits for its time. */
  retryCommitted(delivery: Delivery): void {
    const { turns } = this.#host;
    // A reload that brought an order may have put it behind its key meanwhile.
    const parked = delivery.state === "parked";
    if (delivery.letGo) {
      if (parked) turns.unpark(delivery);
      this.purge(delivery, false);
    } else if (!parked) {
      delivery.state = "retrying";
      turns.wait(delivery);
    }
  }

  get #gathering(): DeltaBuilder {
    return this.#host.outbox.gathering;
  }

  #finish(delivery: Delivery, outcome: Outcome, leased: boolean): void {
    for (const { route } of delivery.owners.accounts) {
      this.#gathering.settled(route, delivery, outcome, leased);
    }
    this.#forget(delivery);
    this.#host.turns.leave(delivery);
  }

  #streamed(delivery: Delivery, routes: Extract<Settlement, { outcome: "streamed" }>["routes"]): void {
    for (const [index, route] of delivery.owners.routes.entries()) {
      const settled = routes[index] ?? { outcome: "filtered" };
      this.#gathering.settled(route, delivery, settled.outcome, true);
      if (settled.outcome === "dead") this.#bury(delivery, route, settled.error, settled.message, null);
    }
    this.#forget(delivery);
  }

  #bury(delivery: Delivery, route: string, error: string, message: string, holds: string | null): void {
    const { seq, replay, attempts } = delivery;
    const at = this.#host.clock.wall();
    this.#gathering.dead({ seq, replay, route, at, error, message, attempts, holds });
  }

  #retry(delivery: Delivery, delayMs: number): void {
    const { clock, unsettled } = this.#host;
    const { seq, replay, key, attempts, firstAttemptAt } = delivery;
    for (const { route } of delivery.owners.accounts) this.#gathering.retried(route, delivery);
    delivery.historic = null;
    delivery.retried = true;
    delivery.state = "settling";
    delivery.due = clock.monotonic() + delayMs;
    delivery.event = null;
    delivery.cause = null;
    const due = Math.ceil(clock.wall() + delayMs);
    const delay = Math.ceil(delayMs);
    this.#gathering.put({ seq, replay, state: "retrying", key, attempts, firstAttemptAt, due, delay });
    this.#gathering.retry(delivery);
    unsettled.giveRow(delivery);
  }

  /** A replay of the dead letter that keeps a key went well. */
  #freeByReplay({ key, seq }: Delivery): void {
    if (key === null) return;
    this.#gathering.free(seq);
    this.#host.turns.release(key, seq);
  }

  #forget(delivery: Delivery): void {
    this.#host.unsettled.settle(delivery, this.#gathering);
    this.#host.interrupted();
  }
}
