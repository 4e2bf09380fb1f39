/**
 * The only code that writes to `journal.db`: a synchronous module over the storage port. `writer-thread.ts` is a thread
 * around it; the simulation runs it inline.
 *
 * One group, or several that have come by then, is one transaction: its events with their duplicate rows, what is owed of them, what was settled, sinks'
 * states, refusals. If it fails
 * - for want of space (`full`): nothing of it happened; the caller waits and refuses;
 * - by an I/O error (`storage`): what is on disk is unknown; the writer takes nothing more;
 * - by anything else: it is done again with a savepoint around each append, so that only the one at fault is refused.
 */
import { crc32 } from "node:zlib";
import type { NewEvent, Seq } from "../../event.ts";
import { BatchInsert } from "./batch-insert.ts";
import { Duplicates } from "./duplicates.ts";
import { rowCrc } from "./event-row.ts";
import type { Command, Group, GroupResult } from "./group.ts";
import type { CreateLedgerStore, LedgerStore } from "./ledger-port.ts";
import { EventUnpacker, type PackedEvents } from "./packed-events.ts";
import { SourceNames } from "./source-names.ts";
import { type Statement, type Storage, storageFailure } from "./storage.ts";

/** Refusals kept; the oldest go first. */
const REFUSALS = 10_000;

/** What an event counts for beside its body, headers and id (`eventBytes`). */
const EVENT_OVERHEAD = 64;

export interface WriterOptions {
  readonly ledger: CreateLedgerStore;
  /** Ids remembered at most. */
  readonly dedupeIds: number;
  /** Any number, different in each process. */
  readonly seed: number;
}

export type CommandResult =
  | { readonly ok: true; readonly value: unknown; readonly through: Seq; readonly appended: PackedEvents }
  | {
      readonly ok: false;
      readonly failure: "full" | "storage" | "refused" | "internal";
      readonly error: unknown;
    };

/** How far a transaction has come in what isn't rows; put back when it is rolled back. */
interface Position {
  readonly newest: Seq;
  readonly total: number;
}

/** Between two looks at the clock. */
const CLOCK_STEP_MS = 60_000;

interface Outcome {
  readonly duplicates: { index: number; seq: Seq; differs: boolean }[];
  readonly refused: { index: number; message: string }[];
}

export class Writer {
  readonly storage: Storage;
  readonly ledger: LedgerStore;
  readonly duplicates: Duplicates;
  /** False while the clock can't be trusted: then nothing is past its time. */
  clockTrusted = true;
  /** What the clock said when that was last looked at. */
  clockSeen: number | null = null;
  readonly #sources: SourceNames;
  readonly #events: BatchInsert;
  readonly #reply: Statement;
  readonly #sink: Statement;
  readonly #refusal: Statement;
  readonly #boundRefusals: Statement;
  #newest: Seq;
  #total: number;
  /** After an I/O error: the reason why nothing more is written. */
  #lost: string | null = null;

  /** The file must be of the present version (`migrate`). */
  constructor(storage: Storage, options: WriterOptions) {
    this.storage = storage;
    this.#sources = new SourceNames(storage);
    this.duplicates = new Duplicates(storage, options.dedupeIds, options.seed);
    this.#events = new BatchInsert(storage, "event", 13);
    this.#reply = storage.prepare("INSERT INTO reply (seq, cause) VALUES (?, ?)");
    this.#sink = storage.prepare("INSERT OR REPLACE INTO sink (name, state) VALUES (?, ?)");
    this.#refusal = storage.prepare(
      "INSERT INTO refusal (at, source, reason, address, count, detail, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#boundRefusals = storage.prepare(
      `DELETE FROM refusal WHERE id <= (SELECT max(id) FROM refusal) - ${REFUSALS}`,
    );
    this.ledger = options.ledger(storage);
    const sequence = storage.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'event'").get();
    const last = storage.prepare("SELECT total FROM event ORDER BY seq DESC LIMIT 1").get();
    this.#newest = Number(sequence?.seq ?? 0);
    this.#total = Number(last?.total ?? 0);
  }

  /** The last seq committed. */
  get newest(): Seq {
    return this.#newest;
  }

  /** Bytes (`eventBytes`) of all events since the oldest one kept began to be counted. */
  get total(): number {
    return this.#total;
  }

  /** All of them in one transaction, with one fsync; null: nothing of it happened, and each has to be tried alone. */
  together(groups: readonly Group[]): readonly GroupResult[] | null {
    if (this.#lost !== null) return null;
    const tried = this.#transaction(undefined, () => groups.map((group) => this.#write(group, false)));
    return tried.ok ? tried.value : null;
  }

  commit(group: Group): GroupResult {
    const { number } = group;
    if (this.#lost !== null) return { number, ok: false, failure: "storage", message: this.#lost };
    let tried = this.#transaction(undefined, () => this.#write(group, false));
    if (!tried.ok && tried.failure === "internal") {
      tried = this.#transaction(undefined, () => this.#write(group, true));
    }
    if (tried.ok) return tried.value;
    return { number, ok: false, failure: tried.failure, message: messageOf(tried.error) };
  }

  /** A rare command of the ledger, in a commit of its own. */
  command(
    command: Command,
    pack: (events: readonly (NewEvent & { seq: Seq })[]) => PackedEvents,
  ): CommandResult {
    if (this.#lost !== null) return { ok: false, failure: "storage", error: new Error(this.#lost) };
    const appended: (NewEvent & { seq: Seq })[] = [];
    const tried = this.#transaction(undefined, () => {
      const append = (event: NewEvent): Seq => {
        const { source, id, body } = event;
        const seq = this.#insert(event, this.#sources.intern(source), id, crc32(body));
        this.#events.flush();
        this.ledger.appended(new Map([[source, 1]]), seq);
        appended.push({ ...event, seq });
        return seq;
      };
      return this.ledger.command(command, append, this.#newest);
    });
    if (tried.ok) return { ok: true, value: tried.value, through: this.#newest, appended: pack(appended) };
    return tried;
  }

  /**
   * Runs `work` in a transaction that need not be on disk when it returns; for retention. Null: it failed and nothing
   * happened (the next group will meet the same failure and tell it).
   */
  relaxed<T>(work: () => T): T | null {
    if (this.#lost !== null) return null;
    const tried = this.#transaction("relaxed", work);
    return tried.ok ? tried.value : null;
  }

  close(): void {
    this.storage.close();
  }

  #transaction<T>(
    mode: "relaxed" | undefined,
    work: () => T,
  ): { ok: true; value: T } | { ok: false; failure: "full" | "storage" | "internal"; error: unknown } {
    const before: Position = { newest: this.#newest, total: this.#total };
    try {
      this.storage.begin(mode);
      const value = work();
      this.#events.flush();
      this.duplicates.flush();
      this.storage.commit();
      this.#sources.committed();
      this.duplicates.committed();
      return { ok: true, value };
    } catch (error) {
      this.storage.rollback();
      this.#newest = before.newest;
      this.#total = before.total;
      this.#events.clear();
      this.#sources.rolledBack();
      this.duplicates.rolledBack();
      this.ledger.rolledBack();
      const failure = storageFailure(error) ?? "internal";
      if (failure === "storage") this.#lost = messageOf(error);
      return { ok: false, failure, error };
    }
  }

  #write(group: Group, singly: boolean): GroupResult {
    const outcome: Outcome = { duplicates: [], refused: [] };
    const before = this.#newest;
    const counts = this.#append(group, singly, outcome);
    // What is settled may refer to them. Otherwise they wait for those of the groups behind, and go in with them.
    if (group.deltas.length > 0) this.#events.flush();
    if (this.#newest > before) this.ledger.appended(counts, this.#newest);
    for (const delta of group.deltas) this.ledger.apply(delta, group.now);
    for (const { sink, state } of group.sinks) this.#sink.run(sink, JSON.stringify(state));
    for (const { at, source, reason, address, count, detail, body } of group.refusals) {
      this.#refusal.run(at, source, reason, address, count, detail, body);
    }
    if (group.refusals.length > 0) this.#boundRefusals.run();
    return { number: group.number, ok: true, firstSeq: before + 1, ...outcome };
  }

  /** Appends what is new and lists the rest; returns how many of each source are new. */
  #append(group: Group, singly: boolean, outcome: Outcome): Map<string, number> {
    const counts = new Map<string, number>();
    const unpacker = new EventUnpacker(group.appends);
    for (let index = 0; index < group.appends.count; index++) {
      const dedupeMs = unpacker.dedupeMs();
      const event = unpacker.next();
      // Outside of the savepoint, whose rollback would take the name's row but not what is known of it here.
      const source = this.#sources.intern(event.source);
      const refused =
        singly && index < group.raisedFrom
          ? this.#tried(() => this.#one(event, source, dedupeMs, group.now))
          : this.#one(event, source, dedupeMs, group.now);
      if (refused === null) counts.set(event.source, (counts.get(event.source) ?? 0) + 1);
      else if ("message" in refused) outcome.refused.push({ index, message: refused.message });
      else outcome.duplicates.push({ index, seq: refused.seq, differs: refused.differs });
    }
    return counts;
  }

  /** Appends one event unless its source had the id within the window; null: it is new. */
  #one(
    event: NewEvent,
    source: number,
    dedupeMs: number | null,
    now: number,
  ): { seq: Seq; differs: boolean } | null {
    const bodyCrc = crc32(event.body);
    // As it will be read back from the row: half a surrogate pair becomes U+FFFD on disk.
    const id = event.id.toWellFormed();
    if (dedupeMs === null) {
      this.#insert(event, source, id, bodyCrc);
      return null;
    }
    const { time } = event;
    const length = event.body.byteLength;
    const hash = this.duplicates.hash(source, id);
    // It is looked at once a second: what lies further apart is a step that the next look will find.
    const stepped = this.clockSeen !== null && Math.abs(now - this.clockSeen) > CLOCK_STEP_MS;
    const since = this.clockTrusted && !stepped ? now - dedupeMs : Number.NEGATIVE_INFINITY;
    const original = this.duplicates.find(hash, source, id, since, this.#newest);
    if (original !== null) {
      return { seq: original.seq, differs: original.crc !== bodyCrc || original.length !== length };
    }
    const seq = this.#insert(event, source, id, bodyCrc);
    this.duplicates.add({ hash, seq, source, id, length, crc: bodyCrc }, time, time + dedupeMs);
    return null;
  }

  #insert(event: NewEvent, source: number, id: string, bodyCrc: number): Seq {
    const { type, subject, key, time, hops, cause, headers, body } = event;
    const seq = this.#newest + 1;
    const total = this.#total + body.byteLength + headers.byteLength + id.length + EVENT_OVERHEAD;
    const crc = rowCrc(seq, source, id, type, subject, key, time, hops, cause, total, headers, bodyCrc);
    const row = this.#events;
    row.put(seq);
    row.put(source);
    row.put(id);
    row.put(type);
    row.put(subject);
    row.put(key);
    row.put(time);
    row.put(hops);
    row.put(cause);
    row.put(total);
    row.put(crc);
    row.put(headers);
    row.put(body);
    row.rowEnds();
    if (cause !== null) this.#reply.run(seq, cause);
    this.#newest = seq;
    this.#total = total;
    return seq;
  }

  /** Runs one append in a savepoint of its own; a failure that is its own fault is told, others are thrown. */
  #tried<T>(append: () => T): T | { message: string } {
    this.#events.flush();
    this.duplicates.flush();
    const before: Position = { newest: this.#newest, total: this.#total };
    this.storage.exec("SAVEPOINT one");
    try {
      const result = append();
      this.#events.flush();
      this.duplicates.flush();
      this.storage.exec("RELEASE one");
      return result;
    } catch (error) {
      if (storageFailure(error) !== null) throw error;
      this.storage.exec("ROLLBACK TO one; RELEASE one");
      this.#events.clear();
      this.duplicates.dropAfter(before.newest);
      this.#newest = before.newest;
      this.#total = before.total;
      return { message: messageOf(error) };
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
