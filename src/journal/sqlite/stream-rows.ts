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
import { compilePattern } from "../../pattern.ts";
import type { Row, Statement, Storage } from "./storage.ts";

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

/** One page of a read; the bodies lie one behind the other in `bytes`. */
export interface PackedPage {
  readonly frames: readonly (PackedFrame & { readonly seq: Seq })[];
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly through: Seq;
}

/** What the index can answer for: nothing is missing after `oldest` and up to `newest`. */
export interface Place {
  readonly oldest: Seq;
  readonly newest: Seq;
}

/**
 * Where a stream is after a write. What is older than all it has is history being filled for later readers
 * (`start: beginning`), from its oldest on; retention takes it again when its time is over.
 */
export function moved({ oldest, newest }: Place, seq: Seq, frames: number): Place {
  return { oldest: frames > 0 ? Math.min(oldest, seq - 1) : oldest, newest: Math.max(newest, seq) };
}

const VERSION = 1;

/** A page ends after so many bytes of bodies: what waits in memory for one slow reader. */
const PAGE_BYTES = 64 * 1024;

/** How many frames one page looks at when it reads by pattern. */
const SCAN_ROWS = 2000;

const SCHEMA = `
  CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    oldest INTEGER NOT NULL,   -- nothing is missing after it
    newest INTEGER NOT NULL    -- and up to it
  ) STRICT;

  CREATE TABLE frame (
    stream INTEGER NOT NULL,   -- stream.id
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,        -- its place among the event's frames
    channel TEXT NOT NULL,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    time INTEGER NOT NULL,     -- when the event was accepted, wall clock, ms
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
  oldest: Seq;
  newest: Seq;
  /** The second that was marked last, so that a burst marks it once. */
  marked: number;
}

interface Key {
  readonly seq: Seq;
  readonly row: number;
}

export class StreamRows {
  readonly #storage: Storage;
  readonly #streams = new Map<string, Stream>();
  readonly #prepared = new Map<string, Statement>();

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
    for (const row of storage.prepare("SELECT id, name, oldest, newest FROM stream").all()) {
      const { id, name, oldest, newest } = row;
      this.#remember({ id: Number(id), name: String(name), oldest: Number(oldest), newest: Number(newest) });
    }
  }

  places(): Map<string, Place> {
    return new Map([...this.#streams].map(([name, { oldest, newest }]) => [name, { oldest, newest }]));
  }

  /** In a file made anew: what each stream had is gone, and a reader from before must be told so. */
  restore(places: ReadonlyMap<string, Place>): void {
    this.#transaction(() => {
      for (const [name, { newest }] of places) this.#create(name, newest, newest);
    });
  }

  /** One commit. Writing a (stream, seq) again replaces it. */
  write(entries: readonly PackedEntry[], bytes: Uint8Array): void {
    const before = this.places();
    try {
      this.#transaction(() => {
        const touched = new Set(entries.map((entry) => this.#writeOne(entry, bytes)));
        const save = this.#prepare("UPDATE stream SET oldest = ?, newest = ? WHERE id = ?");
        for (const { id, oldest, newest } of touched) save.run(oldest, newest, id);
      });
    } catch (error) {
      this.#forget(before);
      throw error;
    }
  }

  #writeOne({ stream: name, seq, frames }: PackedEntry, bytes: Uint8Array): Stream {
    const stream = this.#streams.get(name) ?? this.#create(name, seq - 1, seq - 1);
    if (seq <= stream.newest) {
      this.#prepare("DELETE FROM frame WHERE stream = ? AND seq = ?").run(stream.id, seq);
    }
    const insert = this.#prepare(
      "INSERT INTO frame (stream, seq, n, channel, type, id, time, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    for (const [n, { channel, type, id, time, offset, length }] of frames.entries()) {
      insert.run(stream.id, seq, n, channel, type, id, time, bytes.subarray(offset, offset + length));
      this.#mark(stream, seq, time);
    }
    const { oldest, newest } = moved(stream, seq, frames.length);
    stream.oldest = oldest;
    stream.newest = newest;
    return stream;
  }

  #mark(stream: Stream, seq: Seq, time: number): void {
    const second = Math.floor(time / 1000);
    if (second === stream.marked && seq > stream.newest) return;
    this.#prepare(
      "INSERT INTO mark (stream, second, first) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET first = min(first, excluded.first)",
    ).run(stream.id, second, seq);
    stream.marked = second;
  }

  /** As `StreamIndex.read`. */
  read(name: string, after: Seq, wants: ChannelSelection, limit: number): PackedPage {
    const stream = this.#streams.get(name);
    if (!stream || stream.newest <= after) return { frames: [], bytes: new Uint8Array(0), through: after };
    const found =
      wants.patterns.length > 0 ? this.#scan(stream, after, wants) : this.#seek(stream, after, wants, limit);
    return this.#page(stream, found, limit);
  }

  /** Rows of exact channels, by the index over channels. */
  #seek(
    stream: Stream,
    after: Seq,
    { exact }: ChannelSelection,
    limit: number,
  ): { keys: Key[]; through: Seq } {
    const keys: Key[] = [];
    let through = stream.newest;
    const select = this.#prepare(
      "SELECT seq, n, rowid AS row FROM frame WHERE stream = ? AND channel = ? AND seq > ? ORDER BY seq, n LIMIT ?",
    );
    const ordered: { key: Key; n: number }[] = [];
    for (const channel of new Set(exact)) {
      const rows = select.all(stream.id, channel, after, limit + 1);
      // More may follow at the last seq.
      if (rows.length > limit) through = Math.min(through, Number(rows.at(-1)?.seq) - 1);
      for (const row of rows) ordered.push({ key: toKey(row), n: Number(row.n) });
    }
    ordered.sort((a, b) => a.key.seq - b.key.seq || a.n - b.n);
    const first = ordered[0]?.key.seq;
    // One event with more frames than fit: it is whole or not at all.
    if (first !== undefined && through < first)
      return this.#wholeSeq(stream, first, (name) => exact.includes(name));
    for (const { key } of ordered) if (key.seq <= through) keys.push(key);
    return { keys, through };
  }

  /** Rows of channels that a pattern (or a name beside it) selects: looks at every frame, so many at a time. */
  #scan(stream: Stream, after: Seq, { exact, patterns }: ChannelSelection): { keys: Key[]; through: Seq } {
    const names = new Set(exact);
    const matchers = patterns.map((pattern) => compilePattern(pattern));
    const wanted = (channel: string) => names.has(channel) || matchers.some((matches) => matches(channel));
    const rows = this.#prepare(
      "SELECT seq, rowid AS row, channel FROM frame WHERE stream = ? AND seq > ? ORDER BY seq, n LIMIT ?",
    ).all(stream.id, after, SCAN_ROWS);
    let through = stream.newest;
    if (rows.length === SCAN_ROWS) {
      through = Number(rows.at(-1)?.seq) - 1;
      const first = Number(rows[0]?.seq);
      if (through < first) return this.#wholeSeq(stream, first, wanted);
    }
    const keys = rows.filter((row) => Number(row.seq) <= through && wanted(String(row.channel))).map(toKey);
    return { keys, through };
  }

  #wholeSeq(stream: Stream, seq: Seq, wanted: (channel: string) => boolean): { keys: Key[]; through: Seq } {
    const rows = this.#prepare(
      "SELECT seq, rowid AS row, channel FROM frame WHERE stream = ? AND seq = ? ORDER BY n",
    ).all(stream.id, seq);
    return { keys: rows.filter((row) => wanted(String(row.channel))).map(toKey), through: seq };
  }

  /** Loads whole seqs until `limit` frames or the page's bytes are reached; at least one. */
  #page(stream: Stream, found: { keys: Key[]; through: Seq }, limit: number): PackedPage {
    const select = this.#prepare("SELECT channel, type, id, time, body FROM frame WHERE rowid = ?");
    const rows: { seq: Seq; row: Row; body: Uint8Array }[] = [];
    let bytes = 0;
    let through = Math.min(found.through, stream.newest);
    for (const [at, { seq, row }] of found.keys.entries()) {
      const previous = found.keys[at - 1]?.seq;
      const full = bytes >= PAGE_BYTES || at + framesOf(found.keys, at) > limit;
      if (previous !== undefined && seq !== previous && full) {
        through = previous;
        break;
      }
      const content = select.get(row);
      if (!content) continue;
      const body = content.body as Uint8Array;
      rows.push({ seq, row: content, body });
      bytes += body.byteLength;
    }
    return { ...pack(rows, bytes), through };
  }

  /** As `StreamIndex.seqAt`: just before the first frame that was accepted at `time` or later. */
  seqAt(name: string, time: number): Seq {
    const stream = this.#streams.get(name);
    if (!stream) return 0;
    const mark = this.#prepare("SELECT min(first) AS first FROM mark WHERE stream = ? AND second >= ?").get(
      stream.id,
      Math.floor(time / 1000),
    );
    if (mark === undefined || mark.first === null) return stream.newest;
    const frame = this.#prepare(
      "SELECT seq FROM frame WHERE stream = ? AND seq >= ? AND time >= ? ORDER BY seq LIMIT 1",
    ).get(stream.id, mark.first as number, time);
    return frame === undefined ? stream.newest : Number(frame.seq) - 1;
  }

  /**
   * Raises `oldest` past what was accepted before `time`. Comes before `trim`, so that nobody reads a page with holes
   * and takes it for whole.
   */
  cutOff(name: string, time: number): Place | null {
    const stream = this.#streams.get(name);
    if (!stream) return null;
    const oldest = Math.max(stream.oldest, this.seqAt(name, time));
    this.#transaction(() => {
      this.#prepare("UPDATE stream SET oldest = ? WHERE id = ?").run(oldest, stream.id);
      const second = Math.floor(Math.min(time, Number.MAX_SAFE_INTEGER) / 1000);
      this.#prepare("DELETE FROM mark WHERE stream = ? AND second < ?").run(stream.id, second);
    });
    stream.oldest = oldest;
    return { oldest, newest: stream.newest };
  }

  /** Removes up to `max` frames that are cut off; how many it removed. Gives their pages back to the file system. */
  trim(name: string, max: number): number {
    const stream = this.#streams.get(name);
    if (!stream) return 0;
    const { changes } = this.#prepare(
      `DELETE FROM frame WHERE rowid IN
         (SELECT rowid FROM frame WHERE stream = ? AND seq <= ? ORDER BY seq, n LIMIT ?)`,
    ).run(stream.id, stream.oldest, max);
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

  #create(name: string, oldest: Seq, newest: Seq): Stream {
    this.#prepare("INSERT INTO stream (name, oldest, newest) VALUES (?, ?, ?)").run(name, oldest, newest);
    const id = Number(this.#prepare("SELECT id FROM stream WHERE name = ?").get(name)?.id);
    return this.#remember({ id, name, oldest, newest });
  }

  #remember(stream: Omit<Stream, "marked">): Stream {
    const known = { ...stream, marked: Number.NaN };
    this.#streams.set(stream.name, known);
    return known;
  }

  /** After a rolled-back write: memory is again as the file is. */
  #forget(places: ReadonlyMap<string, Place>): void {
    for (const [name, stream] of this.#streams) {
      const place = places.get(name);
      if (place) this.#remember({ ...stream, ...place });
      else this.#streams.delete(name);
    }
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

  #prepare(sql: string): Statement {
    let statement = this.#prepared.get(sql);
    if (!statement) this.#prepared.set(sql, (statement = this.#storage.prepare(sql)));
    return statement;
  }
}

function toKey(row: Row): Key {
  return { seq: Number(row.seq), row: Number(row.row) };
}

/** How many keys share the seq of the key at `from`, from there on. */
function framesOf(keys: readonly Key[], from: number): number {
  let to = from;
  while (keys[to]?.seq === keys[from]?.seq) to++;
  return to - from;
}

function pack(
  rows: readonly { seq: Seq; row: Row; body: Uint8Array }[],
  size: number,
): Omit<PackedPage, "through"> {
  const bytes = new Uint8Array(size);
  let offset = 0;
  const frames = rows.map(({ seq, row, body }) => {
    bytes.set(body, offset);
    const frame = {
      seq,
      channel: String(row.channel),
      type: String(row.type),
      id: String(row.id),
      time: Number(row.time),
      offset,
      length: body.byteLength,
    };
    offset += body.byteLength;
    return frame;
  });
  return { frames, bytes };
}
