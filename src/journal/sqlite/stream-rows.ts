/**
 * `streams.db`: what streams' routes yielded, by (stream, seq, n) and by (stream, channel, seq). A synchronous module
 * over the storage port; `projections-thread.ts` is the shell around it. A projection: lost or damaged it is made anew.
 *
 * Every call reads or writes a bounded number of rows and leaves no cursor open, so that readers can't hold back the
 * WAL's checkpoint.
 */
import type { ChannelSelection, StreamFrame } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import type { StreamPlace } from "../journal.ts";
import { statements } from "./statements.ts";
import type { Statement, Storage } from "./storage.ts";
import { moved, type PlaceMove, takes, written } from "./stream-place.ts";
import { frameCrc, type PackedPage, StreamReads } from "./stream-reads.ts";

/** A frame whose body lies in a buffer shared by all frames of one message between threads. */
export interface PackedFrame extends Omit<StreamFrame, "body"> {
  readonly offset: number;
  readonly length: number;
}

export interface PackedEntry {
  readonly stream: string;
  readonly seq: Seq;
  readonly frames: readonly PackedFrame[];
}

/** One write: of an event's frames, of a stream's place, or of its name. */
export type PackedWrite =
  | PackedEntry
  | PlaceMove
  | { readonly stream: string; readonly move: "rename"; readonly to: string };

const VERSION = 3;

const SCHEMA = `
  CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    oldest INTEGER NOT NULL,   -- nothing is missing after it
    newest INTEGER NOT NULL,   -- and up to it
    missing_after INTEGER,     -- but for this, if there is any
    missing_through INTEGER
  ) STRICT;

  CREATE TABLE frame (
    stream INTEGER NOT NULL,   -- stream.id
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,        -- its place among the event's frames
    channel TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    time INTEGER NOT NULL,     -- when the event was accepted, wall clock, ms
    crc INTEGER NOT NULL,      -- of all that a reader gets of it (frameCrc)
    body BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX frame_seq ON frame (stream, seq, n);
  CREATE INDEX frame_channel ON frame (stream, channel, seq, n);

  -- The first seq accepted within each second: from a time to a seq without an index over all frames.
  CREATE TABLE mark (
    stream INTEGER NOT NULL,
    second INTEGER NOT NULL,
    first INTEGER NOT NULL,
    PRIMARY KEY (stream, second)
  ) STRICT, WITHOUT ROWID;`;

interface Stream {
  readonly id: number;
  readonly name: string;
  readonly place: StreamPlace;
  /** The second that was marked last, so that a burst marks it once. */
  marked: number;
}

export class StreamRows {
  readonly #storage: Storage;
  readonly #streams = new Map<string, Stream>();
  readonly #prepare: (sql: string) => Statement;
  readonly #reads: StreamReads;

  /** Makes the tables in an empty file. LeatError `damaged` when the file was written by another version. */
  constructor(storage: Storage) {
    this.#storage = storage;
    // Nobody waits for a commit here so urgently that the checkpoint must be kept apart from it, as the writer's is.
    storage.exec("PRAGMA wal_autocheckpoint = 1000; PRAGMA cache_size = -8192");
    const version = Number(storage.prepare("PRAGMA user_version").get()?.user_version);
    if (version === 0) {
      this.#transaction(() => storage.exec(`${SCHEMA}; PRAGMA user_version = ${VERSION}`));
    } else if (version !== VERSION) {
      throw new LeatError("damaged", "stream_index_version", `streams.db is of version ${version}`);
    }
    this.#prepare = statements(storage);
    this.#reads = new StreamReads(this.#prepare);
    for (const row of storage.prepare("SELECT * FROM stream").all()) {
      const { missing_after: after, missing_through: through } = row;
      const missing = after === null ? null : { after: Number(after), through: Number(through) };
      const place = { oldest: Number(row.oldest), newest: Number(row.newest), missing };
      this.#remember({ id: Number(row.id), name: String(row.name), place, marked: Number.NaN });
    }
  }

  places(): Map<string, StreamPlace> {
    return new Map([...this.#streams].map(([name, { place }]) => [name, place]));
  }

  /** Streams have these places from now on; one transaction. */
  restore(places: ReadonlyMap<string, StreamPlace>): void {
    this.#transaction(() => {
      for (const [name, place] of places) {
        this.#place(name, place);
        this.#save(name);
      }
    });
  }

  /** One commit. Writing a (stream, seq) again replaces it. */
  write(entries: readonly PackedWrite[], bytes: Uint8Array): void {
    const before = [...this.#streams.values()];
    try {
      this.#transaction(() => {
        const touched = new Set<string>();
        for (const entry of entries) {
          if (!("move" in entry)) this.#frames(entry, bytes);
          else if (entry.move === "rename") this.#rename(entry.stream, entry.to);
          else this.#place(entry.stream, moved(this.#streams.get(entry.stream)?.place, entry));
          touched.add("move" in entry && entry.move === "rename" ? entry.to : entry.stream);
        }
        for (const name of touched) this.#save(name);
      });
    } catch (error) {
      // Rolled back: memory is again as the file is.
      this.#streams.clear();
      for (const stream of before) this.#remember({ ...stream, marked: Number.NaN });
      throw error;
    }
  }

  #frames({ stream: name, seq, frames }: PackedEntry, bytes: Uint8Array): void {
    const known = this.#streams.get(name);
    const stream = this.#place(name, written(known?.place, seq));
    if (!takes(known?.place, seq)) return;
    const { newest } = known?.place ?? { newest: seq - 1 };
    if (seq <= newest) this.#prepare("DELETE FROM frame WHERE stream = ? AND seq = ?").run(stream.id, seq);
    const insert = this.#prepare(
      "INSERT INTO frame (stream, seq, n, channel, type, id, time, crc, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    for (const [n, { channel, type, id, time, offset, length }] of frames.entries()) {
      const body = bytes.subarray(offset, offset + length);
      const crc = frameCrc({ seq, channel, type, id, time, body });
      insert.run(stream.id, seq, n, channel, type, id, time, crc, body);
      this.#mark(stream, seq, time, seq > newest);
    }
  }

  #rename(name: string, to: string): void {
    const stream = this.#streams.get(name);
    if (stream === undefined || this.#streams.has(to)) return;
    this.#prepare("UPDATE stream SET name = ? WHERE id = ?").run(to, stream.id);
    this.#streams.delete(name);
    this.#remember({ ...stream, name: to });
  }

  /** Its place is now this, in memory; `save` puts it into the file. */
  #place(name: string, place: StreamPlace): Stream {
    const known = this.#streams.get(name);
    if (known !== undefined) return this.#remember({ ...known, place });
    const { oldest, newest, missing } = place;
    this.#prepare(
      "INSERT INTO stream (name, oldest, newest, missing_after, missing_through) VALUES (?, ?, ?, ?, ?)",
    ).run(name, oldest, newest, missing?.after ?? null, missing?.through ?? null);
    const id = Number(this.#prepare("SELECT id FROM stream WHERE name = ?").get(name)?.id);
    return this.#remember({ id, name, place, marked: Number.NaN });
  }

  #save(name: string): void {
    const stream = this.#streams.get(name);
    if (stream === undefined) return;
    const { oldest, newest, missing } = stream.place;
    this.#prepare(
      "UPDATE stream SET oldest = ?, newest = ?, missing_after = ?, missing_through = ? WHERE id = ?",
    ).run(oldest, newest, missing?.after ?? null, missing?.through ?? null, stream.id);
  }

  /** `fresh`: the seq is above all that is there. */
  #mark(stream: Stream, seq: Seq, time: number, fresh: boolean): void {
    const second = Math.floor(time / 1000);
    if (second === stream.marked && fresh) return;
    this.#prepare(
      "INSERT INTO mark (stream, second, first) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET first = min(first, excluded.first)",
    ).run(stream.id, second, seq);
    stream.marked = second;
  }

  /** As `StreamIndex.read`. */
  read(name: string, after: Seq, wants: ChannelSelection, limit: number): PackedPage {
    const stream = this.#streams.get(name);
    return stream === undefined
      ? { frames: [], bytes: new Uint8Array(0), through: after }
      : this.#reads.page(stream, after, wants, limit);
  }

  /** As `StreamIndex.seqAt`: just before the first frame that was accepted at `time` or later. */
  seqAt(name: string, time: number): Seq {
    const stream = this.#streams.get(name);
    if (!stream) return 0;
    // Of what is missing the times aren't known: rather too much than too little.
    const most = stream.place.missing?.after ?? stream.place.newest;
    const mark = this.#prepare("SELECT min(first) AS first FROM mark WHERE stream = ? AND second >= ?").get(
      stream.id,
      Math.floor(time / 1000),
    );
    if (mark === undefined || mark.first === null) return most;
    const frame = this.#prepare(
      "SELECT seq FROM frame WHERE stream = ? AND seq >= ? AND time >= ? ORDER BY seq LIMIT 1",
    ).get(stream.id, mark.first as number, time);
    return frame === undefined ? most : Math.min(most, Number(frame.seq) - 1);
  }

  /**
   * Raises `oldest` past what was accepted before `time`. Comes before `trim`, so that nobody reads a page with holes
   * and takes it for whole.
   */
  cutOff(name: string, time: number): StreamPlace | null {
    const stream = this.#streams.get(name);
    if (!stream) return null;
    const place = { ...stream.place, oldest: Math.max(stream.place.oldest, this.seqAt(name, time)) };
    this.#transaction(() => {
      this.#prepare("UPDATE stream SET oldest = ? WHERE id = ?").run(place.oldest, stream.id);
      const second = Math.floor(Math.min(time, Number.MAX_SAFE_INTEGER) / 1000);
      this.#prepare("DELETE FROM mark WHERE stream = ? AND second < ?").run(stream.id, second);
    });
    this.#remember({ ...stream, place });
    return place;
  }

  /** Removes up to `max` frames that are cut off; how many it removed. Gives their pages back to the file system. */
  trim(name: string, max: number): number {
    const stream = this.#streams.get(name);
    if (!stream) return 0;
    const { changes } = this.#prepare(
      `DELETE FROM frame WHERE rowid IN
         (SELECT rowid FROM frame WHERE stream = ? AND seq <= ? ORDER BY seq, n LIMIT ?)`,
    ).run(stream.id, stream.place.oldest, max);
    if (Number(changes) > 0) this.#storage.exec("PRAGMA incremental_vacuum(100)");
    return Number(changes);
  }

  /** The most pages (16 KiB) the file may have; beyond it writes fail as on a full disk. */
  limitPages(pages: number): void {
    this.#storage.exec(`PRAGMA max_page_count = ${pages}`);
  }

  close(): void {
    this.#storage.close();
  }

  #remember(stream: Stream): Stream {
    this.#streams.set(stream.name, stream);
    return stream;
  }

  #transaction(work: () => void): void {
    this.#storage.begin();
    try {
      work();
      this.#storage.commit();
    } catch (error) {
      this.#storage.rollback();
      throw error;
    }
  }
}
