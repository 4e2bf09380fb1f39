/** How far a source has read, and how much there is: its lag. */
export class Progress {
  /** By topic and partition: the next offset to read, and the one after the newest. */
  readonly #next = new Map<string, number>();
  readonly #end = new Map<string, number>();
  #ours: ReadonlyMap<string, readonly number[]> = new Map();

  assigned(ours: ReadonlyMap<string, readonly number[]>): void {
    this.#ours = ours;
    const places = new Set(this.#places());
    for (const map of [this.#next, this.#end]) {
      for (const place of map.keys()) if (!places.has(place)) map.delete(place);
    }
  }

  topics(): readonly string[] {
    return [...this.#ours.keys()];
  }

  read(topic: string, partition: number, next: number): void {
    this.#next.set(placeOf(topic, partition), next);
  }

  next(topic: string, partition: number): number | undefined {
    return this.#next.get(placeOf(topic, partition));
  }

  /** `committed` counts only where nothing was read yet. */
  ends(topic: string, partition: number, end: number, committed?: number): void {
    const place = placeOf(topic, partition);
    this.#end.set(place, end);
    if (committed !== undefined && !this.#next.has(place)) this.#next.set(place, committed);
  }

  /** Records that wait in our partitions; null while that isn't known of each. */
  lag(): number | null {
    let lag = 0;
    for (const place of this.#places()) {
      const [next, end] = [this.#next.get(place), this.#end.get(place)];
      if (next === undefined || end === undefined) return null;
      lag += Math.max(0, end - next);
    }
    return lag;
  }

  #places(): string[] {
    return [...this.#ours].flatMap(([topic, numbers]) => numbers.map((number) => placeOf(topic, number)));
  }
}

export function placeOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
