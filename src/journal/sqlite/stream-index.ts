/**
 * The stream index on `streams.db`: the main thread's side. Writes are gathered while one batch is being committed and
 * go with the next; a full disk makes them wait while readers go on. Nothing that happens to the file is fatal: it is a
 * projection, and what it lost is told to readers as a `gap`, or written again by the composition (`places`).
 *
 * A file that can't be opened yet (a full disk has no room even for SQLite's shared memory) is not an empty one: until
 * it is open nobody knows what it has, so writes wait, and readers wait before what they have.
 */
import type { ChannelSelection, IndexedFrame } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import { type Clock, type Logger, systemClock } from "../../ports.ts";
import type { StreamIndex, StreamPlace } from "../journal.ts";
import { type Entry, type Frames, pack, sizeOf, unpack } from "./packed-frames.ts";
import {
  Failed,
  type IndexThread,
  type IndexThreadHost,
  ProjectionsClient,
  startIndexThread,
} from "./projections-client.ts";
import type { ProjectionsFailure } from "./projections-thread.ts";
import { lacking, moved, reaches, written } from "./stream-place.ts";

/** A batch ends at so many entries or bytes of bodies: what one commit may hold up the reads behind it. */
const BATCH_ENTRIES = 1000;
const BATCH_BYTES = 8 * 1024 * 1024;

/** How long a write waits before it tries again (disk full, file not to be made). */
const RETRY_MS = 1000;

/** Rows removed between two other requests. */
const TRIM_ROWS = 200;

/** A file that can't be used is set aside, and the new one opened: more than that one try says that it isn't the file. */
const OPENINGS = 2;

const NOWHERE = { oldest: 0, newest: 0 };

export interface StreamIndexOptions {
  /** The database file. */
  readonly file: string;
  readonly log: Logger;
  readonly clock?: Clock;
  /** False while the wall clock can't be trusted: `retain` then removes nothing. */
  readonly mayRemoveByAge?: () => boolean;
  /** The journal's newest seq as it is opened: an index that is ahead of it is another's. */
  readonly newest?: Seq;
  /** Another than a thread of its own, for the simulation. */
  readonly thread?: (host: IndexThreadHost) => IndexThread;
}

/** Never rejects for the state of the file: an unusable one is set aside, and what can't be made now is tried again. */
export async function openStreamIndex(options: StreamIndexOptions): Promise<SqliteStreamIndex> {
  const index = new SqliteStreamIndex(options);
  await index.opened();
  return index;
}

interface Write {
  readonly entries: readonly Entry[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class SqliteStreamIndex implements StreamIndex {
  readonly #file: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #mayRemoveByAge: () => boolean;
  readonly #thread: ProjectionsClient;
  readonly #newest: Seq | null;
  /** As far as the file is known: see `#opened`. */
  readonly #places = new Map<string, StreamPlace>();
  /** False: what the file has isn't known (any more), as it couldn't be opened yet, or its thread died. */
  #opened = false;
  #opening: Promise<boolean> | null = null;
  /** It was seen not to be ahead of the journal. */
  #followed = false;
  readonly #listeners = new Set<() => void>();
  #writes: Write[] = [];
  /** The loop that commits what waits; null when nothing does. */
  #writing: Promise<void> | null = null;
  #problem: string | null = null;
  /** Takes no more writes; those it has may still be under way. */
  #closed = false;
  #wake: (() => void) | null = null;

  constructor({ file, log, clock = systemClock, mayRemoveByAge, newest, thread }: StreamIndexOptions) {
    this.#file = file;
    this.#log = log;
    this.#clock = clock;
    this.#mayRemoveByAge = mayRemoveByAge ?? (() => true);
    this.#newest = newest ?? null;
    const start = thread ?? ((host) => startIndexThread(file, log, host));
    this.#thread = new ProjectionsClient(start, () => {
      this.#opened = false;
    });
  }

  /** Whether the file could be opened; if not, the next write or read tries again. */
  opened(): Promise<boolean> {
    if (this.#opened) return Promise.resolve(true);
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #open(): Promise<boolean> {
    for (let attempt = 0; attempt < OPENINGS; attempt++) {
      try {
        const places = await this.#thread.ask({ op: "open", places: this.#places });
        for (const [name, place] of places) this.#places.set(name, place);
        await this.#follow();
        this.#opened = true;
        this.#works();
        return true;
      } catch (error) {
        if (!this.#failed(error)) return false;
      }
    }
    return false;
  }

  /**
   * An index is written after the journal's commit, so one that is ahead of the journal has been left in a folder whose
   * journal.db was put back from a backup: what it has under the seqs to come was lost with the journal it belongs to,
   * and readers would take it for what comes. It is put aside, and filled anew.
   */
  async #follow(): Promise<void> {
    const journal = this.#newest;
    const newest = Math.max(0, ...[...this.#places.values()].map((place) => place.newest));
    // Once: from then on it is written after this process's own commits.
    if (journal === null || this.#followed || newest <= journal) {
      this.#followed = true;
      return;
    }
    await this.#thread.ask({ op: "renounce" });
    this.#followed = true;
    this.#places.clear();
    this.#log.warn(
      { file: this.#file, newest, journal },
      "the stream index is ahead of the journal (a backup was put back): set aside and made anew",
    );
  }

  /** Also: a stream whose `newest` is below its subscription's cursor has lost what lies between. */
  places(): ReadonlyMap<string, StreamPlace> {
    return this.#places;
  }

  onLost(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why writes wait now, for people; null when they don't. */
  problem(): string | null {
    return this.#problem;
  }

  write(entries: readonly Frames[]): Promise<void> {
    return this.#enqueue(entries);
  }

  lack(stream: string, after: Seq, through: Seq): Promise<void> {
    return this.#enqueue([{ stream, move: "lack", after, through }]);
  }

  fill(
    entries: readonly Frames[],
    filled: { readonly stream: string; readonly after: Seq; readonly through: Seq },
  ): Promise<void> {
    return this.#enqueue([...entries, { ...filled, move: "fill" }]);
  }

  owe(stream: string, through: Seq): Promise<void> {
    return this.#enqueue([{ stream, move: "owe", through }]);
  }

  reach(stream: string, after: Seq): Promise<void> {
    return this.#enqueue([{ stream, move: "reach", after }]);
  }

  begin(stream: string, from: Seq): Promise<void> {
    return this.#enqueue([{ stream, move: "begin", from }]);
  }

  rename(stream: string, to: string): Promise<void> {
    return this.#enqueue([{ stream, move: "rename", to }]);
  }

  #enqueue(entries: readonly Entry[]): Promise<void> {
    if (this.#closed) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#writes.push({ entries, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async read(
    stream: string,
    after: Seq,
    wants: ChannelSelection,
    limit: number,
  ): Promise<{ frames: IndexedFrame[]; through: Seq }> {
    try {
      if (!(await this.opened())) return { frames: [], through: after };
      return unpack(await this.#thread.ask({ op: "read", stream, after, wants, limit }));
    } catch (error) {
      // What was lost is missing now: the reader waits for it, or sees from `bounds().oldest` that it won't come.
      this.#failed(error);
      return { frames: [], through: after };
    }
  }

  async bounds(stream: string): Promise<{ oldest: Seq; newest: Seq }> {
    const { oldest, newest } = this.#places.get(stream) ?? NOWHERE;
    return { oldest, newest };
  }

  async seqAt(stream: string, time: number): Promise<Seq> {
    try {
      if (await this.opened()) return await this.#thread.ask({ op: "seqAt", stream, time });
    } catch (error) {
      this.#failed(error);
    }
    return (await this.bounds(stream)).newest;
  }

  /** On a full disk, and while the clock can't be trusted, it leaves what it can't remove to the next call. */
  async retain(stream: string, olderThan: number): Promise<number> {
    let removed = 0;
    if (!this.#mayRemoveByAge() || !(await this.opened())) return removed;
    try {
      const place = await this.#thread.ask({ op: "cutOff", stream, time: olderThan });
      if (!place) return 0;
      this.#places.set(stream, place);
      for (let step = TRIM_ROWS; step === TRIM_ROWS; removed += step) {
        step = await this.#thread.ask({ op: "trim", stream, max: TRIM_ROWS });
      }
    } catch (error) {
      this.#failed(error);
    }
    return removed;
  }

  /** For tests of a full disk: the most pages (16 KiB) the file may have. */
  async limitPages(pages: number): Promise<void> {
    await this.#thread.ask({ op: "maxPages", pages });
  }

  /** Writes what waits, unless it can't be written now: then those writes reject (`stream_index_closed`). */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#writing;
    await this.#thread.close().catch((error: unknown) => this.#failed(error));
  }

  async #writeAll(): Promise<void> {
    while (this.#writes.length > 0) {
      const batch = takeBatch(this.#writes);
      this.#writes = this.#writes.slice(batch.length);
      const entries = batch.flatMap((write) => write.entries);
      if (await this.#commit(entries)) for (const { resolve } of batch) resolve();
      else {
        // What comes behind mustn't be there without it: a gap's place goes before what follows the gap.
        for (const { reject } of [...batch, ...this.#writes]) reject(closed());
        this.#writes = [];
      }
    }
    this.#writing = null;
  }

  /** Tries until it is on disk; false when the index was closed meanwhile. */
  async #commit(entries: readonly Entry[]): Promise<boolean> {
    for (;;) {
      let reset = false;
      try {
        if (await this.opened()) {
          await this.#put(entries);
          return true;
        }
      } catch (error) {
        reset = this.#failed(error);
      }
      if (this.#closed) return false;
      if (!reset) await this.#pause(RETRY_MS);
    }
  }

  async #put(entries: readonly Entry[]): Promise<void> {
    const changes: Entry[] = [];
    for (const entry of entries) if (!this.#isSo(entry, changes)) changes.push(entry);
    if (changes.length === 0) return;
    await this.#thread.ask({ op: "write", ...pack(changes) });
    this.#moved(changes);
    this.#works();
  }

  /** What each start says again; a page of the past in an index that has all else, also once it has what goes `before`. */
  #isSo(entry: Entry, before: readonly Entry[]): boolean {
    if (!("move" in entry)) return false;
    if (before.some((one) => "move" in one)) return false;
    if (entry.move === "owe") return reaches(this.#places.get(entry.stream), entry.through);
    if (entry.move === "reach") return (this.#places.get(entry.stream)?.oldest ?? Infinity) <= entry.after;
    if (entry.move === "fill") return (this.#places.get(entry.stream)?.missing ?? null) === null;
    return entry.move === "rename" && !this.#places.has(entry.stream);
  }

  #works(): void {
    if (this.#problem !== null) this.#log.info({ file: this.#file }, "stream index can be used again");
    this.#problem = null;
  }

  #moved(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { stream } = entry;
      const place = this.#places.get(stream);
      if (!("move" in entry)) this.#places.set(stream, written(place, entry.seq));
      else if (entry.move !== "rename") this.#places.set(stream, moved(place, entry));
      else if (place !== undefined && !this.#places.has(entry.to)) {
        this.#places.delete(stream);
        this.#places.set(entry.to, place);
      }
    }
  }

  /** Logs once per problem. True when the file was made anew, so that trying again at once makes sense. */
  #failed(error: unknown): boolean {
    const detail: ProjectionsFailure =
      error instanceof Failed ? error.detail : { failure: "internal", message: String(error) };
    if (detail.failure === "reset") {
      for (const [name, { oldest, newest }] of this.#places) {
        this.#places.set(name, detail.places.get(name) ?? lacking(undefined, oldest, newest));
      }
      this.#log.warn({ file: this.#file, reason: detail.message }, "stream index set aside and made anew");
      for (const listener of this.#listeners) listener();
      return true;
    }
    const problem = detail.failure === "full" ? "the stream index waits for disk space" : detail.message;
    if (this.#problem !== problem && !this.#closed) {
      this.#problem = problem;
      this.#log.error(
        { file: this.#file, reason: detail.message },
        "stream index can't be used; trying again",
      );
    }
    return false;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function closed(): LeatError {
  return new LeatError(
    "unavailable",
    "stream_index_closed",
    "the stream index was closed before it could write",
  );
}

function takeBatch(writes: readonly Write[]): Write[] {
  let entries = 0;
  let bytes = 0;
  const end = writes.findIndex((write) => {
    const full = entries >= BATCH_ENTRIES || bytes >= BATCH_BYTES;
    entries += write.entries.length;
    bytes += sizeOf(write.entries);
    return full;
  });
  return writes.slice(0, end === -1 ? writes.length : end);
}
