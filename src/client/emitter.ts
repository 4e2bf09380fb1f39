/** Listeners by name. One that throws hinders no other: what it threw goes where uncaught errors go. */
export class Emitter<News extends object> {
  readonly #listeners = new Map<keyof News, Set<(news: never) => void>>();

  /** Returns what takes the listener off again. */
  on<Name extends keyof News>(name: Name, listener: (news: News[Name]) => void): () => void {
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all.add(listener));
    return () => all.delete(listener);
  }

  hears(name: keyof News): boolean {
    return (this.#listeners.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof News>(name: Name, news: News[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        (listener as (news: News[Name]) => void)(news);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
