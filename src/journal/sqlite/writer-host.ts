/**
 * The writer with all that goes on around it: answers messages, and between groups takes small steps of retention and
 * moves the WAL into the database. Synchronous and without a clock of its own; the thread (`writer-thread.ts`) and the
 * simulation differ only in how they call it.
 */
import { LeatError } from "../../errors.ts";
import type { NewEvent, Seq } from "../../event.ts";
import type { JournalTuning } from "../journal.ts";
import type { ClockMark } from "./clock-guard.ts";
import type { Command, Group, GroupResult } from "./group.ts";
import type { CreateLedgerStore } from "./ledger-port.ts";
import { loadMark, loadNotes } from "./notes.ts";
import { EventPacker, type PackedEvents } from "./packed-events.ts";
import { Retention } from "./retention.ts";
import { createSpace, type Space, type Watermark } from "./space.ts";
import { PAGE_BYTES, type Storage, storageFailure } from "./storage.ts";
import { Writer } from "./writer.ts";
import type {
  CommandAnswer,
  FromWriter,
  PlainError,
  ToWriter,
  WriterStart,
  WriterState,
} from "./writer-messages.ts";

/** Looking how far the WAL was moved takes its locks: once in so many turns, or bytes. */
const TURNS = 16;
const LOOK_BYTES = 8 * 1024 * 1024;
/**
 * Pages in the WAL from which on the writer wants it to begin anew (64 MiB), which takes that nothing in it is left
 * to be moved: a small rest it moves itself. What is small grows with the WAL, or under a load that brings more than that
 * while the checkpoint thread moves the rest, it would grow for as long. If the rest is large that thread is behind or gone.
 */
const WAL_FRAMES = (64 * 1024 * 1024) / PAGE_BYTES;
const SMALL_SHARE = 1 / 10;
const LARGE_REST = WAL_FRAMES * 2;
const SHRINK_BYTES = 1024 * 1024;
/** How often the clock's mark is renewed, in ms. */
const MARK_MS = 10_000;

export interface WriterHostOptions {
  readonly storage: Storage;
  readonly ledger: CreateLedgerStore;
  readonly tuning: JournalTuning;
  readonly watermark: Watermark;
  readonly ballastBytes: number;
  readonly seed: number;
}

export class WriterHost {
  readonly #storage: Storage;
  readonly #writer: Writer;
  readonly #retention: Retention;
  readonly #space: Space;
  readonly #start: WriterStart;
  #now = 0;
  #marked = 0;
  #turns = 0;
  /** Bytes that were written since it was last looked how far the WAL was moved. */
  #unlooked = 0;
  /** Retention has more to do, as far as is known. */
  #busy = false;
  /** The file says that it is open: on a full disk that has to wait. */
  #open = false;
  /** A group met a full disk: settlements that left behind it must not overtake it. */
  #refusing = false;

  /** The file must be of the present version. Marks it as in use: until `close` it counts as not cleanly stopped. */
  constructor({ storage, ledger, tuning, watermark, ballastBytes, seed }: WriterHostOptions) {
    this.#storage = storage;
    this.#writer = new Writer(storage, { ledger, dedupeIds: tuning.limits.dedupeIds, seed });
    this.#retention = new Retention(this.#writer, tuning.retention);
    this.#space = createSpace(storage, watermark, ballastBytes);
    const meta = storage.prepare("SELECT value FROM meta WHERE name = ?");
    const mark = meta.get("clock")?.value;
    this.#start = {
      newest: this.#writer.newest,
      clean: Number(meta.get("clean")?.value ?? 1) === 1,
      mark: typeof mark === "string" ? (JSON.parse(mark) as ClockMark) : null,
      ledger: this.#writer.ledger.load(),
      notes: loadNotes(storage),
      journalMark: loadMark(storage),
      sinks: storage
        .prepare("SELECT name, state FROM sink")
        .all()
        .map(({ name, state }) => ({ name: String(name), state: String(state) })),
      state: this.#state(),
    };
    this.#markOpen();
  }

  /** What the main thread starts from. */
  get start(): WriterStart {
    return this.#start;
  }

  /** Null: nothing to say. */
  handle(message: ToWriter): FromWriter | null {
    switch (message.kind) {
      case "group":
        return this.commit([message.group]);
      case "command":
        return { kind: "commanded", number: message.number, result: this.#command(message.command) };
      case "tick":
        return this.#tick(message.now, message.trusted, message.mark);
      case "configure":
        this.#writer.duplicates.limit(message.tuning.limits.dedupeIds);
        this.#retention.configure(message.tuning.retention);
        return null;
      case "ping":
        return { kind: "pong", number: message.number };
      case "close":
        this.#close(message.mark, message.clean);
        return { kind: "closed" };
    }
  }

  /** Groups that came one behind the other: committed together, or one by one where that fails. */
  commit(groups: readonly Group[]): FromWriter {
    const start = performance.now();
    const bytes = bytesOf(groups);
    this.#unlooked += bytes;
    if (!this.#space.takes(bytes)) this.#full();
    const alone = groups.length === 1 || this.#refusing || groups.some(({ retry }) => retry);
    const together = alone ? null : this.#writer.together(groups);
    const results = together ?? groups.map((group) => this.#commit(group));
    return { kind: "results", results, seconds: (performance.now() - start) / 1000 };
  }

  /** One small step of what can wait, between two groups. True when there is more. `rows`: at least as many as the last group brought. */
  idle(rows = 0): boolean {
    if (this.#load()) return true;
    if (!this.#busy) return false;
    // What gives room writes too, and on a full disk that mustn't take more than it gives.
    if (this.#space.wanted > 0) this.#shrinkWal();
    this.#busy = this.#retention.step(this.#now, this.#writer.clockTrusted, rows);
    return this.#busy;
  }

  /** Some of the ids of earlier processes; false: no more of them. What can't be read is told of when an id is looked up. */
  #load(): boolean {
    try {
      return this.#writer.duplicates.load();
    } catch {
      return false;
    }
  }

  /** Lets the WAL begin anew once it has grown; most of it the checkpoint thread has moved by then. */
  checkpoint(): void {
    if (++this.#turns < TURNS && this.#unlooked < LOOK_BYTES) return;
    this.#turns = 0;
    this.#unlooked = 0;
    try {
      const { frames, moved } = this.#storage.checkpoint("NOOP");
      const rest = frames - moved;
      if (frames < WAL_FRAMES || rest === 0) return;
      if (rest <= frames * SMALL_SHARE || rest >= LARGE_REST) this.#storage.checkpoint("PASSIVE");
    } catch {
      // A full disk: everything is still in the WAL, and the next commit will tell.
    }
  }

  /** Room is short: the WAL's file is given back, which an ordinary checkpoint leaves at its size to be written again. */
  #shrinkWal(): void {
    if (this.#storage.sizes().wal < SHRINK_BYTES) return;
    try {
      const { frames, moved } = this.#storage.checkpoint("PASSIVE");
      if (frames === moved) this.#storage.checkpoint("TRUNCATE");
    } catch {
      // No room even for that.
    }
  }

  #commit(group: Group): GroupResult {
    if (group.retry) this.#refusing = false;
    if (this.#refusing) {
      return { number: group.number, ok: false, failure: "full", message: "behind a group that failed" };
    }
    const result = this.#writer.commit(group);
    if (!result.ok && result.failure === "full") this.#full();
    return result;
  }

  #full(): void {
    this.#space.full();
    this.#refusing = true;
  }

  #command(command: Command): CommandAnswer {
    if (this.#refusing) {
      const error = plainError(new Error("behind a group that failed"));
      return { ok: false, failure: "full", error };
    }
    let result = this.#writer.command(command, packed);
    // A start whose routes have changed has no other way to write that down on a full disk.
    if (!result.ok && result.failure === "full" && this.#space.full()) {
      result = this.#writer.command(command, packed);
    }
    // It may owe older events anew.
    this.#retention.forgetFloor();
    if (result.ok) return result;
    // Unlike a group's, its failure takes nothing with it: what comes behind may go on.
    return { ok: false, failure: result.failure, error: plainError(result.error) };
  }

  #tick(now: number, trusted: boolean, mark: ClockMark): FromWriter {
    this.#now = now;
    this.#writer.clockTrusted = trusted;
    this.#writer.clockSeen = now;
    // First, so that what it gives back isn't asked for again.
    if (this.#space.closed !== null || this.#space.wanted > 0) this.#shrinkWal();
    this.#space.check();
    if (!this.#open) this.#markOpen();
    this.#retention.makeRoom(this.#space.wanted);
    this.#retention.forgetFloor();
    if (Math.abs(now - this.#marked) >= MARK_MS) {
      this.#marked = now;
      this.#writer.relaxed(() => this.#setMeta("clock", JSON.stringify(mark)));
    }
    this.#busy = true;
    this.idle();
    return { kind: "state", state: this.#state() };
  }

  #state(): WriterState {
    const { file, wal } = this.#storage.sizes();
    return {
      oldest: this.#retention.oldest,
      closed: this.#space.closed ?? (this.#retention.full ? "journal_bound" : null),
      dedupeIds: this.#writer.duplicates.size,
      dedupeEvictedEarly: this.#writer.duplicates.evictedEarly,
      keptBytes: this.#retention.bytes,
      freeBytes: this.#space.free,
      wantedBytes: this.#space.wanted,
      fileBytes: file,
      walBytes: wal,
    };
  }

  #markOpen(): void {
    try {
      this.#setMeta("clean", 0);
      this.#open = true;
    } catch (error) {
      if (storageFailure(error) !== "full") throw error;
      this.#space.full();
    }
  }

  #close(mark: ClockMark, clean: boolean): void {
    try {
      this.#setMeta("clock", JSON.stringify(mark));
      if (clean) this.#setMeta("clean", 1);
      this.#storage.checkpoint("TRUNCATE");
    } catch {
      // The next start finds it not cleanly stopped, and loses nothing by it.
    }
    this.#writer.close();
  }

  #setMeta(name: string, value: string | number): void {
    this.#storage.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").run(name, value);
  }
}

function packed(events: readonly (NewEvent & { seq: Seq })[]): PackedEvents {
  const packer = new EventPacker();
  for (const event of events) packer.add(event, event.seq, null);
  return packer.pack();
}

function bytesOf(groups: readonly Group[]): number {
  return groups.reduce((bytes, { appends }) => bytes + (appends.count > 0 ? appends.bytes.byteLength : 0), 0);
}

export function plainError(error: unknown): PlainError {
  if (error instanceof LeatError) {
    return { kind: error.kind, code: error.code, message: error.message, hint: error.hint };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { kind: "internal", code: "journal_error", message, hint: undefined };
}
