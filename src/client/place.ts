/**
 * Where a reader is in the order of events, so that after a reconnect nothing is missing and nothing comes twice. Pure.
 *
 * Several events may bear one seq (two routes fed the channel), and a connection may end between them. So the place is
 * the seq up to which all is had, and how many of the next one: it asks for that seq again and skips as many.
 */
export class Place {
  /** Everything up to it is had; undefined: nowhere yet. */
  #complete: number | undefined;
  /** The seq above `#complete` of which some are had, how many, and how many are still to be skipped. */
  #at = 0;
  #had = 0;
  #skip = 0;

  constructor(since?: number) {
    this.#complete = since;
  }

  /** As `text` wrote it; nowhere where it is something else. */
  static of(text: unknown): Place {
    const [all, seq, had] = /^(\d{1,16})(?:\.(\d+))?$/.exec(String(text)) ?? [];
    const place = new Place(all ? Number(seq) - (had ? 1 : 0) : undefined);
    if (had) [place.#at, place.#had] = [Number(seq), Number(had)];
    return place;
  }

  /** Says whether the event is new; it is had from then on. */
  take(seq: number): boolean {
    if (seq < this.#at || seq <= (this.#complete ?? -1)) return false;
    if (seq > this.#at) {
      this.#complete = seq - 1;
      this.#at = seq;
      this.#had = this.#skip = 0;
    } else if (this.#skip > 0) {
      this.#skip--;
      return false;
    }
    this.#had++;
    return true;
  }

  /** The server says that everything up to `seq` was given. */
  settle(seq: number): void {
    if (seq <= (this.#complete ?? -1)) return;
    this.#complete = seq;
    if (this.#at <= seq) this.#at = this.#had = this.#skip = 0;
  }

  /** The server goes on elsewhere, maybe further back: after a gap. */
  reset(seq: number): void {
    this.#complete = seq;
    this.#at = this.#had = this.#skip = 0;
  }

  /** What to ask for on a new connection: what comes after it, of which the first may be skipped. */
  resume(): number | undefined {
    this.#skip = this.#had;
    return this.#complete;
  }

  /** To keep over the life of a page: `41`, or `41.2` with two events of 41 had. */
  get text(): string {
    return this.#had ? `${this.#at}.${this.#had}` : `${this.#complete ?? ""}`;
  }
}
