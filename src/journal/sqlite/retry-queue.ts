/** Deliveries that wait for their time: a binary heap by `due` on the monotonic clock. */
import type { Delivery } from "./delivery.ts";

export class RetryQueue {
  readonly #heap: Delivery[] = [];

  /** The earliest due time, or null. */
  earliest(): number | null {
    while (this.#heap[0]?.state === "gone") this.#pop();
    return this.#heap[0]?.due ?? null;
  }

  push(delivery: Delivery): void {
    const heap = this.#heap;
    let at = heap.push(delivery) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.due <= delivery.due) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = delivery;
  }

  /** Takes the earliest one out if it is due at `now`. */
  shift(now: number): Delivery | null {
    const due = this.earliest();
    return due !== null && due <= now ? this.#pop() : null;
  }

  #pop(): Delivery {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && heap[child + 1]!.due < heap[child]!.due) child++;
        if (heap[child]!.due >= last.due) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = last;
    }
    return top;
  }
}
