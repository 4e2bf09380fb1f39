/** What a program holds of the channels it reads: a loop of events, or listeners; and the transport's side of it. */
import { Emitter } from "./emitter.ts";
import { Inbox } from "./inbox.ts";
import { Place } from "./place.ts";
import type { Dropped, Gap, Presence, Status, StatusNews, StreamError, StreamEvent } from "./words.ts";

/** What a place is kept in over the life of a page, such as `sessionStorage`. */
export interface PlaceStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface SubscriptionOptions {
  /** Begin after this seq, rather than with what comes from now on. */
  readonly since?: number | undefined;
  /** Remembers up to where the program has taken events; what it remembers goes before `since`. */
  readonly storage?: PlaceStorage | undefined;
  /** Under which name, each subscription its own; default: `leat:` with address and channels. */
  readonly storageKey?: string | undefined;
  /** Events that may wait for the program; default 1000. */
  readonly buffer?: number | undefined;
}

export interface SubscriptionNews<Data> {
  event: StreamEvent<Data>;
  gap: Gap;
  dropped: Dropped;
  /** These are not open to this reader any more; the others go on. Where none is left it ends with `revoked`. */
  revoked: { channels: readonly string[] };
  /** The seq up to which the program has taken all. */
  position: number;
  status: StatusNews;
  /** Somebody has come to a channel, or left it. WebSocket only. */
  join: Presence;
  leave: Presence;
}

export interface Subscription<Data = unknown> extends AsyncIterable<StreamEvent<Data>> {
  readonly channels: readonly string[];
  readonly status: Status;
  /** The seq up to which the program has taken all; undefined before anything is known. */
  readonly position: number | undefined;
  /** Returns what takes the listener off. A listener for `event` gets all events, and a loop none. */
  on<Name extends keyof SubscriptionNews<Data>>(
    name: Name,
    listener: (news: SubscriptionNews<Data>[Name]) => void,
  ): () => void;
  /** Leaves the channels; a loop ends. */
  close(): void;
  /** A loop may be left and begun again: what has come meanwhile waits. Throws StreamError where it ends for good. */
  [Symbol.asyncIterator](): AsyncIterator<StreamEvent<Data>, undefined>;
}

export class Intake extends Emitter<SubscriptionNews<unknown>> implements Subscription {
  readonly channels: readonly string[];
  readonly inbox: Inbox;
  readonly close: () => void;
  status: Status = "connecting";
  readonly #options: SubscriptionOptions;
  readonly #key: string;
  /** By channel, or one for all (`""`): what has come, and what the program has taken. A channel may be called `constructor`. */
  readonly #places: Record<string, Place> = Object.create(null);
  readonly #taken: Record<string, string> = Object.create(null);

  constructor(url: string, channels: readonly string[], options: SubscriptionOptions, leave: () => void) {
    super();
    this.channels = channels;
    this.inbox = new Inbox(options.buffer ?? 1000);
    this.#options = options;
    this.#key = options.storageKey ?? `leat:${url} ${channels}`;
    this.close = () => {
      leave();
      this.end();
    };
    try {
      const kept = JSON.parse(options.storage?.getItem(this.#key) as string) as Record<string, unknown>;
      for (const channel of [...channels, ""]) {
        const place = Place.of(kept[channel]);
        if (!place.text) continue;
        this.#places[channel] = place;
        // What is written next has to hold what an earlier page has taken.
        this.#taken[channel] = place.text;
      }
    } catch {
      // Nothing is kept, or another's: as if nothing were.
    }
  }

  place(channel: string): Place {
    return (this.#places[channel] ??= new Place(this.#options.since));
  }

  get position(): number | undefined {
    const all = Object.values(this.#taken).map((text) => Number.parseInt(text, 10));
    return all.length > 0 ? Math.min(...all) : undefined;
  }

  /** The server goes on after `seq`: where that was asked, or elsewhere: at a first beginning, after a gap. */
  begin(channel: string, seq: number): void {
    const place = this.place(channel);
    const asked = place.resume();
    if (seq !== asked) place.reset(seq);
    // Else a page that is closed with its first event in hand would have no place to come back to.
    if (asked === undefined) this.#taking(channel)();
  }

  /** An event at this place, unless it was had before. `seq` null: it has none. `through`: with it all up to there has come. */
  receive(channel: string, seq: number | null, event: StreamEvent, through = 0): void {
    if (event.ephemeral && this.inbox.full) return;
    const place = this.place(channel);
    const fresh = seq === null || place.take(seq);
    if (through) place.settle(through);
    if (fresh) this.inbox.push({ event, taken: this.#taking(channel) });
  }

  /** Everything up to `seq` has come. */
  settle(channel: string, seq: number): void {
    this.place(channel).settle(seq);
    if (this.inbox.idle) this.#taking(channel)();
  }

  /** The stream goes on from `seq` after a gap. Told in its order between the events. */
  gap(channel: string, gap: Gap, seq?: number): void {
    if (seq !== undefined) this.place(channel).reset(seq);
    const taken = this.#taking(channel);
    this.tell(() => {
      this.emit("gap", gap);
      taken();
    });
  }

  /** Does it once the program has taken what came before. */
  tell(taken: () => void): void {
    if (this.inbox.idle) taken();
    else this.inbox.push({ taken });
  }

  stand(news: StatusNews): void {
    if (this.status === "closed") return;
    this.status = news.status;
    this.emit("status", news);
  }

  end(error?: StreamError): void {
    this.stand({ status: "closed", error });
    this.inbox.end(error);
  }

  override on<Name extends keyof SubscriptionNews<unknown>>(
    name: Name,
    listener: (news: SubscriptionNews<unknown>[Name]) => void,
  ): () => void {
    const off = super.on(name, listener);
    if (name !== "event") return off;
    this.inbox.listener = (event) => this.emit("event", event);
    this.inbox.flush();
    return () => {
      off();
      if (!this.hears("event")) this.inbox.listener = null;
    };
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamEvent, undefined> {
    const { inbox } = this;
    return {
      next: () => inbox.next(),
      return: async () => {
        inbox.settle();
        return { done: true, value: undefined };
      },
    };
  }

  /** What is to be done once all that has come so far was taken. */
  #taking(channel: string): () => void {
    const { text } = this.place(channel);
    return () => {
      if (text === "" || this.#taken[channel] === text) return;
      this.#taken[channel] = text;
      this.#options.storage?.setItem(this.#key, JSON.stringify(this.#taken));
      this.emit("position", this.position as number);
    };
  }
}
