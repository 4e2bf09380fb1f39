/** Brings the events (and causes) of deliveries that are free to go into memory, a few at a time, before they are leased. */
import type { Event, Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { Delivery } from "./delivery.ts";
import type { EventFeed } from "./event-feed.ts";
import { Fifo } from "./fifo.ts";

/** Read at once: events may be 16 MiB. */
const AT_ONCE = 16;
const AGAIN_MS = 1000;

export class Loading {
  readonly #feed: EventFeed;
  readonly #clock: Clock;
  readonly #loaded: (delivery: Delivery) => void;
  readonly #queue = new Fifo<Delivery>();
  #busy = false;
  #closed = false;

  /** `loaded` is called with `delivery.event` set, or null when it is nowhere. */
  constructor(feed: EventFeed, clock: Clock, loaded: (delivery: Delivery) => void) {
    this.#feed = feed;
    this.#clock = clock;
    this.#loaded = loaded;
  }

  close(): void {
    this.#closed = true;
  }

  /** Nothing is being read, nor waits to be. */
  get idle(): boolean {
    return !this.#busy && this.#queue.length === 0;
  }

  /** True: it is complete already. False: it waits in the queue. */
  want(delivery: Delivery): boolean {
    if (this.#complete(delivery)) return true;
    delivery.state = "loading";
    this.#queue.push(delivery);
    return false;
  }

  /** Reads what is wanted, at most `room` deliveries. Re-entrant calls do nothing. */
  pump(room: number): void {
    if (this.#busy || this.#closed || room <= 0 || this.#queue.length === 0) return;
    const taken: Delivery[] = [];
    while (taken.length < Math.min(room, AT_ONCE)) {
      const delivery = this.#queue.shift();
      if (delivery === undefined) break;
      if (delivery.state === "loading") taken.push(delivery);
    }
    if (taken.length === 0) return;
    this.#busy = true;
    this.#load(taken).then(
      () => {
        this.#busy = false;
        for (const delivery of taken) if (delivery.state === "loading") this.#loaded(delivery);
      },
      () => {
        // A reader may be busy; the writer's side tells what is wrong with the journal.
        this.#clock.after(AGAIN_MS, () => {
          this.#busy = false;
          for (const delivery of taken.reverse()) this.#queue.unshift(delivery);
          this.pump(room);
        });
      },
    );
  }

  async #load(deliveries: readonly Delivery[]): Promise<void> {
    const missing = deliveries.filter(({ event }) => event === null);
    const events = missing.length === 0 ? [] : await this.#feed.load(missing.map(({ seq }) => seq));
    for (const [index, delivery] of missing.entries()) delivery.event = events[index] ?? null;
    const causes: { delivery: Delivery; cause: Seq }[] = [];
    for (const delivery of deliveries) {
      const cause = delivery.event?.cause ?? null;
      if (cause !== null) causes.push({ delivery, cause });
    }
    if (causes.length === 0) return;
    const found = await this.#feed.load(causes.map(({ cause }) => cause));
    for (const [index, { delivery }] of causes.entries()) delivery.cause = found[index] ?? null;
  }

  #complete(delivery: Delivery): boolean {
    const event: Event | undefined = delivery.event ?? this.#feed.peek(delivery.seq);
    if (event === undefined) return false;
    delivery.event = event;
    if (event.cause === null || delivery.cause !== null) return true;
    delivery.cause = this.#feed.peek(event.cause) ?? null;
    return delivery.cause !== null;
  }
}
