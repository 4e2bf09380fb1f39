/**
 * The channels of one connection, and the readers that feed them.
 *
 * What has caught up is fed by one reader, `#main`, so that its events come in the order of their seqs, each once, however
 * many channels there are. Channels that begin further back have a reader of their own until it is where `#main` is: then
 * `#main` takes them over. One such reader runs at a time, so that a client who names a hundred channels of long ago has no
 * more in memory than one who names one.
 *
 *   subscribe ──► asked ──► waiting ──► catching ──► main
 *                 (where?)     └── is where main is ──┘
 */
import type { Seq } from "../../event.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { selectionOf } from "../stream/channels.ts";
import type { Outlet } from "../stream/outlet.ts";
import type { Asked, Gap } from "../stream/position.ts";
import type { Reader, ReaderOwner } from "../stream/reader.ts";

/** Some channels as the client names them, and their reader. */
interface Track {
  readonly reader: Reader;
  names: readonly string[];
}

interface Waiting {
  readonly position: Seq;
  names: readonly string[];
}

/** Whose channels they are. */
export interface JoinedChannelsOwner {
  /** Names begin after `position`; said before any of their events. `gap`: what was asked for isn't all there. */
  joined(names: readonly string[], position: Seq, gap: Gap | null): void;
  /** Where they begin can't be found out now. */
  notJoined(names: readonly string[], error: unknown): void;
  /** As `ReaderOwner`. */
  tooSlow(): void;
  failed(error: unknown): void;
}

export class JoinedChannels implements ReaderOwner {
  readonly #broadcast: Broadcast;
  readonly #outlet: Outlet;
  readonly #owner: JoinedChannelsOwner;
  readonly #names = new Set<string>();
  /** By the position that was asked for: those who ask for one in one breath are told, and read, together. */
  #asked: Map<Asked, string[]> | null = null;
  #waiting: Waiting[] = [];
  #catching: Track | null = null;
  #main: Track | null = null;
  #closed = false;

  constructor(broadcast: Broadcast, outlet: Outlet, owner: JoinedChannelsOwner) {
    this.#broadcast = broadcast;
    this.#outlet = outlet;
    this.#owner = owner;
  }

  get size(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  names(): readonly string[] {
    return [...this.#names];
  }

  /** `since`: as `askedPosition`. Not for a name that it has. */
  join(name: string, since: Asked): void {
    this.#names.add(name);
    this.#asked ??= new Map();
    const together = this.#asked.get(since);
    if (together !== undefined) together.push(name);
    else {
      this.#asked.set(since, [name]);
      void this.#locate(since);
    }
  }

  /** What was given of it lies in the outlet. */
  leave(name: string): void {
    if (!this.#names.delete(name)) return;
    // Named again before that is answered, it begins where it is then asked to.
    for (const [since, names] of this.#asked ?? []) {
      if (names.includes(name))
        this.#asked?.set(
          since,
          names.filter((other) => other !== name),
        );
    }
    this.#waiting = this.#waiting
      .map((one) => ({ ...one, names: one.names.filter((other) => other !== name) }))
      .filter(({ names }) => names.length > 0);
    this.flush();
    if (this.#main?.names.includes(name)) this.#main = without(this.#main, name);
    if (this.#catching?.names.includes(name)) {
      this.#catching = without(this.#catching, name);
      this.#next();
    }
  }

  /** Writes what it was given in this turn: for what is to come after that. */
  flush(): void {
    this.#main?.reader.flush();
    this.#catching?.reader.flush();
  }

  /** Of all its channels everything up to here lies in the outlet; null: that isn't known. */
  position(): Seq | null {
    if (this.#asked !== null || this.#names.size === 0) return null;
    const main = this.#main?.reader.position ?? Number.POSITIVE_INFINITY;
    const catching = this.#catching?.reader.position ?? Number.POSITIVE_INFINITY;
    return Math.min(main, catching, ...this.#waiting.map(({ position }) => position));
  }

  // A reader's owner.

  caughtUp(): void {
    this.merge();
  }

  tooSlow(): void {
    this.#owner.tooSlow();
  }

  failed(error: unknown): void {
    this.#owner.failed(error);
  }

  /** Takes over what has caught up. To be called now and then: a slow reader catches up unseen. */
  merge(): void {
    const [main, catching] = [this.#main, this.#catching];
    if (this.#closed || catching === null) return;
    if (main === null) this.#main = catching;
    else if (!main.reader.live || !catching.reader.live) return;
    else if (main.reader.position !== catching.reader.position) return;
    else {
      catching.reader.close();
      widen(main, catching.names);
    }
    this.#catching = null;
    this.#next();
  }

  close(): void {
    this.#closed = true;
    this.#main?.reader.close();
    this.#catching?.reader.close();
    this.#waiting = [];
    this.#names.clear();
  }

  async #locate(since: Asked): Promise<void> {
    try {
      const located = await this.#broadcast.resolve(since).catch((error: unknown) => ({ error }));
      const names = (this.#asked?.get(since) ?? []).filter((name) => this.#names.has(name));
      this.#asked?.delete(since);
      if (this.#asked?.size === 0) this.#asked = null;
      if (this.#closed || names.length === 0) return;
      if ("error" in located) {
        for (const name of names) this.#names.delete(name);
        this.#owner.notJoined(names, located.error);
        return;
      }
      this.#waiting.push({ position: located.position, names });
      this.#owner.joined(names, located.position, located.gap);
      this.#next();
    } catch (error) {
      this.#owner.failed(error);
    }
  }

  #next(): void {
    while (!this.#closed && this.#catching === null && this.#waiting.length > 0) {
      const { position } = this.#waiting[0] as Waiting;
      const names = this.#waiting.filter((one) => one.position === position).flatMap((one) => one.names);
      this.#waiting = this.#waiting.filter((one) => one.position !== position);
      const main = this.#main;
      if (main?.reader.live && main.reader.position === position) widen(main, names);
      else this.#catchUp(names, position);
    }
  }

  #catchUp(names: readonly string[], position: Seq): void {
    const selection = selectionOf(names);
    const reader = this.#broadcast.reader({ selection, position, outlet: this.#outlet, owner: this });
    this.#catching = { reader, names };
    reader.start();
  }
}

function widen(track: Track, names: readonly string[]): void {
  track.names = [...track.names, ...names];
  track.reader.select(selectionOf(track.names));
}

/** Null, and its reader closed, where no name is left. */
function without(track: Track, name: string): Track | null {
  track.names = track.names.filter((other) => other !== name);
  if (track.names.length === 0) track.reader.close();
  else track.reader.select(selectionOf(track.names));
  return track.names.length === 0 ? null : track;
}
