/**
 * The stream index on `streams.db`: the main thread's side. Writes are gathered while one batch is being committed and
 * go with the next; a full disk makes them wait while readers go on. Nothing that happens to the file is fatal: it is a
 * projection, and what it lost is told to readers as a `gap`, or written again by the composition (`places`).
 */
import { Worker } from "node:worker_threads";
import type { ChannelSelection, IndexedFrame } from "../../component.ts";
import { LeatError } from "../../errors.ts";
import type { Seq } from "../../event.ts";
import { type Clock, type Logger, systemClock } from "../../ports.ts";
import type { StreamIndex, StreamPlace } from "../journal.ts";
import { type Entry, type Frames, pack, sizeOf, unpack } from "./packed-frames.ts";
import type {
  ProjectionsAnswer,
  ProjectionsData,
  ProjectionsFailure,
  ProjectionsRequest,
  ProjectionsResults,
} from "./projections-thread.ts";
import { lacking, moved, written } from "./stream-place.ts";

/** A batch ends at so many entries or bytes of bodies: what one commit may hold up the reads behind it. */
const BATCH_ENTRIES = 1000;
const BATCH_BYTES = 8 * 1024 * 1024;

/** How long a write waits before it tries again (disk full, file not to be made). */
const RETRY_MS = 1000;

/** Rows removed between two other requests. */
const TRIM_ROWS = 200;

const NOWHERE = { oldest: 0, newest: 0 };

/** The thread that has the file. `post` is answered by `answered`, in order, until `ended` is called. */
export interface IndexThread {
  post(message: IndexRequest, transfer: readonly ArrayBuffer[]): void;
  end(): Promise<unknown>;
}

export interface IndexRequest {
  readonly number: number;
  readonly request: ProjectionsRequest;
}

export interface IndexThreadHost {
  answered(answer: ProjectionsAnswer): void;
  ended(): void;
}

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
  if (options.newest !== undefined) await index.follow(options.newest);
  return index;
}

interface Write {
  readonly entries: readonly Entry[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A request that failed, and how. */
class Failed extends Error {
  readonly detail: ProjectionsFailure;

  constructor(detail: ProjectionsFailure) {
    super(detail.message);
    this.detail = detail;
  }
}

export class SqliteStreamIndex implements StreamIndex {
  readonly #file: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #mayRemoveByAge: () => boolean;
  readonly #startThread: (host: IndexThreadHost) => IndexThread;
  #thread: IndexThread | null = null;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Failed) => void }>();
  #number = 0;
  readonly #places = new Map<string, StreamPlace>();
  readonly #listeners = new Set<() => void>();
  #writes: Write[] = [];
  /** The loop that commits what waits; null when nothing does. */
  #writing: Promise<void> | null = null;
  #problem: string | null = null;
  /** Takes no more writes; those it has may still be under way. */
  #closed = false;
  /** Its thread is gone for good. */
  #ended = false;
  #wake: (() => void) | null = null;

  constructor({ file, log, clock = systemClock, mayRemoveByAge, thread }: StreamIndexOptions) {
    this.#file = file;
    this.#log = log;
    this.#clock = clock;
    this.#mayRemoveByAge = mayRemoveByAge ?? (() => true);
    this.#startThread = thread ?? ((host) => startThread(file, log, host));
  }

  async opened(): Promise<void> {
    const places = await this.#ask({ op: "open", places: this.#places }).catch((error: unknown) => {
      this.#failed(error);
      return null;
    });
    for (const [name, place] of places ?? []) this.#places.set(name, place);
  }

  /**
   * An index is written after the journal's commit, so one that is ahead of the journal has been left in a folder whose
   * journal.db was put back from a backup: what it has under the seqs to come was lost with the journal it belongs to,
   * and readers would take it for what comes. It is put aside, and filled anew.
   */
  async follow(journal: Seq): Promise<void> {
    const newest = Math.max(0, ...[...this.#places.values()].map((place) => place.newest));
    if (newest <= journal) return;
    const done = await this.#ask({ op: "renounce" }).catch((error: unknown) => {
      this.#failed(error);
      return undefined;
    });
    if (done === undefined) return;
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
      return unpack(await this.#ask({ op: "read", stream, after, wants, limit }));
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
      return await this.#ask({ op: "seqAt", stream, time });
    } catch (error) {
      this.#failed(error);
      return (await this.bounds(stream)).newest;
    }
  }

  /** On a full disk, and while the clock can't be trusted, it leaves what it can't remove to the next call. */
  async retain(stream: string, olderThan: number): Promise<number> {
    let removed = 0;
    if (!this.#mayRemoveByAge()) return removed;
    try {
      const place = await this.#ask({ op: "cutOff", stream, time: olderThan });
      if (!place) return 0;
      this.#places.set(stream, place);
      for (let step = TRIM_ROWS; step === TRIM_ROWS; removed += step) {
        step = await this.#ask({ op: "trim", stream, max: TRIM_ROWS });
      }
    } catch (error) {
      this.#failed(error);
    }
    return removed;
  }

  /** For tests of a full disk: the most pages (16 KiB) the file may have. */
  async limitPages(pages: number): Promise<void> {
    await this.#ask({ op: "maxPages", pages });
  }

  /** Writes what waits, unless it can't be written now: then those writes reject (`stream_index_closed`). */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#writing;
    const thread = this.#thread;
    if (thread) await this.#ask({ op: "close" }).catch((error: unknown) => this.#failed(error));
    this.#ended = true;
    this.#thread = null;
    await thread?.end();
  }

  async #writeAll(): Promise<void> {
    while (this.#writes.length > 0) {
      const batch = takeBatch(this.#writes);
      this.#writes = this.#writes.slice(batch.length);
      const entries = batch.flatMap((write) => write.entries);
      if (await this.#commit(entries)) for (const { resolve } of batch) resolve();
      else for (const { reject } of batch) reject(closed());
    }
    this.#writing = null;
  }

  /** Tries until it is on disk; false when the index was closed meanwhile. */
  async #commit(entries: readonly Entry[]): Promise<boolean> {
    for (;;) {
      try {
        await this.#ask({ op: "write", ...pack(entries) });
        this.#moved(entries);
        if (this.#problem !== null) this.#log.info({ file: this.#file }, "stream index writes again");
        this.#problem = null;
        return true;
      } catch (error) {
        const reset = this.#failed(error);
        if (this.#closed) return false;
        if (!reset) await this.#pause(RETRY_MS);
      }
    }
  }

  #moved(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const { stream } = entry;
      const place = this.#places.get(stream);
      if (!("move" in entry)) this.#places.set(stream, written(place, entry.seq, entry.frames.length));
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

  #ask<R extends ProjectionsRequest>(request: R): Promise<ProjectionsResults[R["op"]]> {
    if (this.#ended) return Promise.reject(new Failed({ failure: "unusable", message: "it is closed" }));
    const thread = this.#thread ?? this.#spawn();
    if (this.#thread === null) {
      this.#thread = thread;
      // What the one before it knew.
      if (request.op !== "open") void this.opened();
    }
    const number = ++this.#number;
    return new Promise<ProjectionsResults[R["op"]]>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      const transfer = request.op === "write" ? [request.bytes.buffer as ArrayBuffer] : [];
      thread.post({ number, request }, transfer);
    });
  }

  /** A thread that dies is replaced by the next request; what it was asked fails, and writes try again. */
  #spawn(): IndexThread {
    const thread = this.#startThread({
      answered: (answer) => {
        const waiting = this.#waiting.get(answer.number);
        this.#waiting.delete(answer.number);
        if (answer.ok) waiting?.resolve(answer.value as never);
        else waiting?.reject(new Failed(answer));
      },
      ended: () => {
        if (this.#thread === thread) this.#thread = null;
        const lost = [...this.#waiting.values()];
        this.#waiting.clear();
        for (const { reject } of lost)
          reject(new Failed({ failure: "unusable", message: "its thread ended" }));
      },
    });
    return thread;
  }
}

function startThread(file: string, log: Logger, host: IndexThreadHost): IndexThread {
  // Sources are run as they are, and as JavaScript once they are built.
  const entry = new URL(
    import.meta.url.endsWith(".ts") ? "./projections-thread.ts" : "./projections-thread.js",
    import.meta.url,
  );
  const data: ProjectionsData = { file };
  const worker = new Worker(entry, { workerData: data, name: "leat-projections" });
  worker.on("message", (answer: ProjectionsAnswer) => host.answered(answer));
  worker.on("error", (err) => log.error({ err, file }, "stream index thread failed"));
  worker.on("exit", () => host.ended());
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    end: () => worker.terminate(),
  };
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
