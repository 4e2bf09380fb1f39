/**
 * What has come and was not taken yet: for one loop (`for await`), or handed on at once where somebody listens.
 *
 * Bounded: a transport that finds it full stops taking and, once there is room, goes on from its place. So a consumer
 * that is too slow for a resumable stream misses nothing; only ephemeral events, which nobody keeps, are left out.
 */
import type { StreamError, StreamEvent } from "./words.ts";

export interface Item {
  /** Absent: `taken` is all there is to do, in its order between the events. */
  readonly event?: StreamEvent;
  /** Called once the consumer is done with it. */
  readonly taken: () => void;
}

export class Inbox {
  /** Where set, it gets each event at once. */
  listener: ((event: StreamEvent) => void) | null = null;
  readonly #bound: number;
  #items: Item[] = [];
  #ended = false;
  #error: StreamError | undefined;
  #given: Item | undefined;
  #wake = () => {};
  #roomy: (() => void)[] = [];

  constructor(bound: number) {
    this.#bound = bound;
  }

  get full(): boolean {
    return this.#items.length >= this.#bound;
  }

  /** Nothing waits, and the consumer is done with what it was given last. */
  get idle(): boolean {
    return this.#items.length === 0 && !this.#given;
  }

  push(item: Item): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.flush();
    this.#wake();
  }

  /** Gives the listener, where there is one, all that waits. */
  flush(): void {
    while (this.listener && this.#items.length > 0) {
      const item = this.#items.shift() as Item;
      if (item.event) this.listener(item.event);
      item.taken();
    }
    this.#makeRoom();
  }

  /** Resolves when half of it is free; at once where it isn't full. */
  room(): Promise<void> {
    return this.full && !this.#ended
      ? new Promise((resolve) => void this.#roomy.push(resolve))
      : Promise.resolve();
  }

  /** What has come can still be taken, then the loop ends: with `error`, where there is one. */
  end(error?: StreamError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    if (!error) this.#items = [];
    this.#makeRoom();
    this.#wake();
  }

  async next(): Promise<IteratorResult<StreamEvent, undefined>> {
    for (;;) {
      this.settle();
      const item = this.#items.shift();
      this.#makeRoom();
      if (item?.event) {
        this.#given = item;
        return { done: false, value: item.event };
      }
      if (item) item.taken();
      else if (this.#error) throw this.#error;
      else if (this.#ended) return { done: true, value: undefined };
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The consumer is done with what `next` gave it last. */
  settle(): void {
    this.#given?.taken();
    this.#given = undefined;
  }

  #makeRoom(): void {
    if (this.#items.length > this.#bound / 2 && !this.#ended) return;
    for (const resolve of this.#roomy.splice(0)) resolve();
  }
}
