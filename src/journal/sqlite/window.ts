/**
 * What was added in seq order and goes out in nearly the same: a list with a head, where a map would be rehashed all the
 * time, and each table it leaves behind would keep its deliveries alive until the next full collection.
 */
import type { Seq } from "../../event.ts";

/** What has a place in a window. */
export interface Placed {
  readonly seq: Seq;
  /** The window's own business; -1: it is in none. */
  place: number;
}

/** So many places behind the head are given back at once. */
const SPENT = 1024;

export class Window<T extends Placed> {
  #items: (T | undefined)[] = [];
  /** The place of `#items[0]`. */
  #base = 0;
  /** The index of the first that is there, or the end. */
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one with the lowest seq. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  /** Its seq is above all others'. */
  push(item: T): void {
    item.place = this.#base + this.#items.length;
    this.#items.push(item);
    this.#size++;
  }

  /** Nothing happens where it isn't in. */
  delete(item: T): void {
    if (item.place === -1) return;
    this.#items[item.place - this.#base] = undefined;
    item.place = -1;
    this.#size--;
    while (this.#head < this.#items.length && this.#items[this.#head] === undefined) this.#head++;
    if (this.#head === this.#items.length) this.#drop();
    else if (this.#head >= SPENT && this.#head * 2 >= this.#items.length) this.#drop();
  }

  /** Its seq's; those at the head are found soonest. */
  get(seq: Seq): T | undefined {
    for (const item of this) if (item.seq >= seq) return item.seq === seq ? item : undefined;
    return undefined;
  }

  /** In seq order; any of them may be deleted on the way. */
  *[Symbol.iterator](): Iterator<T> {
    for (let place = this.#base + this.#head; place < this.#base + this.#items.length; place++) {
      const item = this.#items[place - this.#base];
      if (item !== undefined) yield item;
    }
  }

  #drop(): void {
    this.#items = this.#items.slice(this.#head);
    this.#base += this.#head;
    this.#head = 0;
  }
}
