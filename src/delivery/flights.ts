/** What is under way, and waiting for some of it to end. */

/** What can be under way: it knows its place among the others. */
export interface Flight {
  /** Where it is among them; -1: not there. */
  place: number;
}

/**
 * A list whose members know their places, not a set: a set that is always filled and emptied is rehashed all the time, and
 * each table it leaves behind keeps what it held alive until the next full collection.
 */
export class Flights<T extends Flight> {
  readonly #flights: T[] = [];
  readonly #waiting = new Set<() => void>();

  add(flight: T): void {
    flight.place = this.#flights.length;
    this.#flights.push(flight);
  }

  landed(flight: T): void {
    if (flight.place === -1) return;
    const last = this.#flights.pop();
    if (last !== undefined && last !== flight) {
      last.place = flight.place;
      this.#flights[flight.place] = last;
    }
    flight.place = -1;
    for (const look of this.#waiting) look();
  }

  /** Resolves once none of those under way is one that `counts`. */
  none(counts: (flight: T) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (this.#flights.some(counts)) return;
      this.#waiting.delete(look);
      resolve();
    };
    this.#waiting.add(look);
    look();
    return promise;
  }

  /** Those of now: any of them may land on the way. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#flights].values();
  }
}
