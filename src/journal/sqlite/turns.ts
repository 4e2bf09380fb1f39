/**
 * Whose turn it is among the deliveries of one subscription that have been read: what is ready, what waits for its key's
 * head, for its time, or for its event to be read into memory again.
 */
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { SubscriptionDefinition } from "../journal.ts";
import type { Delivery } from "./delivery.ts";
import type { EventFeed } from "./event-feed.ts";
import { Fifo } from "./fifo.ts";
import { Lanes } from "./lanes.ts";
import { Loading } from "./loading.ts";
import { RetryQueue } from "./retry-queue.ts";

/** Bodies of parked deliveries that stay in memory; beyond it they are read again when their turn comes. */
const PARKED_BYTES = 4 * 1024 * 1024;
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface TurnsHost {
  readonly clock: Clock;
  readonly feed: EventFeed;
  /** Its event (or null: there is none) and cause are in memory; calls `ready` unless it must not be attempted. */
  readonly loaded: (delivery: Delivery) => void;
  /** Something may be leased that could not before. */
  readonly woke: () => void;
}

export class Turns {
  /** How many may be leased at once: twice as many are read ahead. */
  concurrency = 1;
  readonly #host: TurnsHost;
  readonly #lanes = new Lanes();
  readonly #loading: Loading;
  #ready = new Fifo<Delivery>();
  #retries = new RetryQueue();
  #timer: { readonly due: number; readonly cancel: () => void } | null = null;
  #parkedBytes = 0;

  constructor(host: TurnsHost) {
    this.#host = host;
    this.#loading = new Loading(host.feed, host.clock, host.loaded);
  }

  /** How many are parked behind their keys. */
  get parked(): number {
    return this.#lanes.parked;
  }

  /** Nothing is being read, nor waits to be. */
  get idle(): boolean {
    return this.#loading.idle;
  }

  /** The next that is ready, or null. */
  next(): Delivery | null {
    for (;;) {
      const delivery = this.#ready.shift();
      if (delivery === undefined) return null;
      if (delivery.state === "ready") return delivery;
    }
  }

  /** Reads ahead what is free to go. */
  prefetch(): void {
    this.#loading.pump(2 * this.concurrency - this.#ready.length);
  }

  /** True: no other of its key is before it. False: it is parked. */
  enter(delivery: Delivery, order: SubscriptionDefinition["order"]): boolean {
    if (order !== "key" || this.#lanes.enter(delivery)) return true;
    delivery.state = "parked";
    const bytes = delivery.event?.body.byteLength ?? 0;
    if (this.#parkedBytes + bytes > PARKED_BYTES) delivery.event = null;
    else this.#parkedBytes += bytes;
    return false;
  }

  /** True: all of it is in memory. False: it is being read; `loaded` is called. */
  want(delivery: Delivery): boolean {
    return this.#loading.want(delivery);
  }

  /** Nothing is before it any more. */
  free(delivery: Delivery): void {
    delivery.freeSince = this.#host.clock.wall();
    if (this.#loading.want(delivery)) this.#host.loaded(delivery);
    else this.prefetch();
  }

  ready(delivery: Delivery): void {
    delivery.state = "ready";
    this.#ready.push(delivery);
  }

  /** It was taken too early: the next one again; by seq, should several be. */
  putBack(delivery: Delivery, order: SubscriptionDefinition["order"]): void {
    delivery.state = "ready";
    if (order !== "seq") {
      this.#ready.unshift(delivery);
      return;
    }
    const waiting = [delivery];
    for (let next = this.#ready.shift(); next !== undefined; next = this.#ready.shift()) waiting.push(next);
    for (const each of waiting.sort((a, b) => a.seq - b.seq)) this.#ready.push(each);
  }

  /** It is settled: the next of its key goes. */
  leave(delivery: Delivery): void {
    this.#freed(this.#lanes.leave(delivery));
  }

  /** A dead letter keeps its key. */
  hold(key: string, seq: Seq): void {
    this.#lanes.hold(key, seq);
  }

  /** The dead letter `seq` keeps its key no longer. */
  release(key: string, seq: Seq): void {
    this.#freed(this.#lanes.free(key, seq));
  }

  /** It is settled where it is parked. */
  unpark(delivery: Delivery): void {
    this.#parkedBytes -= delivery.event?.body.byteLength ?? 0;
    this.#lanes.drop();
  }

  /** It waits for its time. */
  wait(delivery: Delivery): void {
    this.#retries.push(delivery);
    this.#arm();
  }

  /** Puts all that waits where the order wants it; returns how many may go at once. A key's head has its lowest seq. */
  arrange(inOrder: readonly Delivery[], order: SubscriptionDefinition["order"]): number {
    const held = this.#lanes.held();
    this.#lanes.clear();
    if (order === "key") for (const { key, seq } of held) this.#lanes.hold(key, seq);
    this.#ready = new Fifo();
    this.#retries = new RetryQueue();
    this.#parkedBytes = 0;
    const now = this.#host.clock.monotonic();
    let free = 0;
    for (const delivery of inOrder) {
      const { state, due } = delivery;
      if (!this.enter(delivery, order) || state === "settling") continue;
      if (state === "retrying" && due > now) this.#retries.push(delivery);
      else {
        free++;
        this.free(delivery);
      }
    }
    this.#arm();
    return free;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#loading.close();
  }

  #freed(delivery: Delivery | null): void {
    if (delivery === null) return;
    this.#parkedBytes -= delivery.event?.body.byteLength ?? 0;
    if (delivery.due <= this.#host.clock.monotonic()) this.free(delivery);
    else {
      // It was put behind its key's head, by an order that a reload brought, while it waited for its time.
      delivery.state = "retrying";
      this.wait(delivery);
    }
  }

  #arm(): void {
    const due = this.#retries.earliest();
    if (due === null || (this.#timer !== null && this.#timer.due <= due)) return;
    this.#timer?.cancel();
    const { clock } = this.#host;
    const ms = Math.min(Math.max(0, due - clock.monotonic()), MAX_TIMER_MS);
    const cancel = clock.after(ms, () => {
      this.#timer = null;
      this.#ripen();
    });
    this.#timer = { due, cancel };
  }

  #ripen(): void {
    const now = this.#host.clock.monotonic();
    for (let due = this.#retries.shift(now); due !== null; due = this.#retries.shift(now)) {
      if (this.#loading.want(due)) this.#host.loaded(due);
    }
    this.prefetch();
    this.#arm();
    this.#host.woke();
  }
}
