/** What is under way, and waiting for some of it to end. */
export class Flights<T> {
  readonly #flights = new Set<T>();
  readonly #waiting = new Set<() => void>();

  add(flight: T): void {
    this.#flights.add(flight);
  }

  landed(flight: T): void {
    this.#flights.delete(flight);
    for (const look of this.#waiting) look();
  }

  /** Resolves once none of those under way is one that `counts`. */
  none(counts: (flight: T) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      for (const flight of this.#flights) if (counts(flight)) return;
      this.#waiting.delete(look);
      resolve();
    };
    this.#waiting.add(look);
    look();
    return promise;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#flights.values();
  }
}
