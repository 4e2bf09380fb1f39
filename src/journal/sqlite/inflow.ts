/**
 * New events of one subscription, in seq order: from the ring while it has caught up, else in pages that are read ahead.
 * Events that nobody owes are passed over.
 */
import type { Event, Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { EventFeed, EventPage } from "./event-feed.ts";
import type { Owners } from "./feeds.ts";

/** After a page could not be read, in ms. */
const AGAIN_MS = 1000;

/** What is wanted: of these sources, what somebody owes. */
export interface Wanted {
  sources(): readonly string[];
  owners(event: Event): Owners | undefined;
}

export interface Fresh {
  readonly event: Event;
  readonly owners: Owners;
}

export class Inflow {
  /** Everything below it was taken or passed over. */
  next: Seq;
  /** Nothing above it is taken: of a removed route. */
  until: Seq | null = null;
  readonly #feed: EventFeed;
  readonly #wanted: Wanted;
  readonly #clock: Clock;
  readonly #arrived: () => void;
  #batch: readonly Event[] = [];
  #index = 0;
  /** The batch says all up to here. */
  #through: Seq = 0;
  #ahead: { readonly after: Seq; readonly page: EventPage } | null = null;
  #reading = false;
  /** Pages asked for before the sources changed are dropped when they come. */
  #generation = 0;
  #closed = false;

  /** `arrived` is called when a page has come. */
  constructor(next: Seq, feed: EventFeed, wanted: Wanted, clock: Clock, arrived: () => void) {
    this.next = next;
    this.#feed = feed;
    this.#wanted = wanted;
    this.#clock = clock;
    this.#arrived = arrived;
  }

  /** There is something that was not taken yet, whether or not it is owed. */
  get behind(): boolean {
    return this.next <= this.#end();
  }

  /** The next owed event; null when there is none, or when it has to be read first. */
  take(): Fresh | null {
    for (;;) {
      while (this.#index < this.#batch.length) {
        const event = this.#batch[this.#index]!;
        if (event.seq > this.#end()) return null;
        this.#index++;
        if (event.seq < this.next) continue;
        this.next = event.seq + 1;
        const owners = this.#wanted.owners(event);
        if (owners !== undefined) return { event, owners };
      }
      this.next = Math.max(this.next, Math.min(this.#through, this.#end()) + 1);
      if (!this.behind || !this.#refill()) return null;
    }
  }

  /** Events were committed of which none is owed: there is nothing to look at. */
  pass(first: Seq, last: Seq): void {
    if (this.next === first && this.#index >= this.#batch.length) this.next = last + 1;
  }

  /** Of all that there is, none is owed. */
  skip(): void {
    this.reset(this.#end() + 1);
  }

  /** What is owed has changed: what was read ahead may be another's. Goes on at `next`. */
  reset(next: Seq): void {
    this.next = next;
    this.#batch = [];
    this.#index = 0;
    this.#through = 0;
    this.#ahead = null;
    this.#generation++;
    this.#reading = false;
  }

  close(): void {
    this.#closed = true;
  }

  #end(): Seq {
    const newest = this.#feed.newest();
    return this.until === null ? newest : Math.min(newest, this.until);
  }

  #refill(): boolean {
    const after = this.next - 1;
    const live = this.#feed.live(this.next);
    if (live !== null) {
      this.#use(live, live.at(-1)?.seq ?? after);
      this.#ahead = null;
      return true;
    }
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead !== null && ahead.after <= after && ahead.page.through > after) {
      this.#use(ahead.page.events, ahead.page.through);
      if (ahead.page.through < this.#end()) this.#read(ahead.page.through);
      return true;
    }
    this.#read(after);
    return false;
  }

  #use(events: readonly Event[], through: Seq): void {
    this.#batch = events;
    this.#index = 0;
    this.#through = through;
  }

  #read(after: Seq): void {
    if (this.#reading || this.#closed || this.#feed.live(after + 1) !== null) return;
    this.#reading = true;
    const generation = this.#generation;
    this.#feed.page(after, this.#wanted.sources()).then(
      (page) => {
        if (generation !== this.#generation) return;
        this.#reading = false;
        this.#ahead = { after, page };
        this.#arrived();
      },
      () => {
        if (generation !== this.#generation) return;
        // The writer's side tells what is wrong with the journal; a reader may just be busy.
        this.#clock.after(AGAIN_MS, () => {
          this.#reading = false;
          this.#arrived();
        });
      },
    );
  }
}
