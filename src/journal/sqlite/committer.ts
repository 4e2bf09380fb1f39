/**
 * Group commit, seen from the main thread. What is appended and settled in one turn of the event loop gathers in a batch
 * and leaves for the writer; of what is appended, a full batch leaves before the turn's end. The writer commits together
 * all that has come while its last fsync ran: without a timer, and without waiting for this thread between two commits.
 *
 * A state machine:
 * - *working*: batches leave, results come back in order.
 * - *stalled*: a commit met a full disk. Appends are refused at once; settlements are kept and tried again (the writer has
 *   let its ballast go), and once one such commit succeeds it is *working* again, with intake closed until the writer
 *   reports room.
 * - *lost*: an I/O error, or the writer's thread has ended. Everything waiting is rejected; the process must exit.
 */
import type { Appended, Intake } from "../../component.ts";
import { LEAT_SOURCE, type NewEvent } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { JournalTuning, SinkState } from "../journal.ts";
import { Arena } from "./arena.ts";
import { Batch } from "./batch.ts";
import { busyError, fullError, lostError, RETRY_AFTER_FULL_MS, refusedError } from "./commit-errors.ts";
import { CommitTimes } from "./commit-times.ts";
import { Committed } from "./committed.ts";
import type { DeltaSink, DeltaSource } from "./delta.ts";
import type { Command, Group, GroupResult } from "./group.ts";
import { Overdue } from "./overdue.ts";
import { EventPacker, transferOf, unpackEvents } from "./packed-events.ts";
import type { RefusalQueue } from "./refusals.ts";
import type { Ring } from "./ring.ts";
import type { ClosedReason, FromWriter, ToWriter, WriterState } from "./writer-messages.ts";
import { leatError, WriterQuestions } from "./writer-questions.ts";

export interface Grouping {
  /** A group holds at most so much, so that no commit takes long. */
  readonly events: number;
  readonly bytes: number;
  /** Behind a group that is being committed another is sent if it is worth a message: so many events. */
  readonly worthSending: number;
}

/** A group lies in one slab of the arena. */
const GROUPING: Grouping = { events: 1000, bytes: 512 * 1024, worthSending: 8 };
/** Groups sent and not answered: so many that the writer never waits for one, and few enough for its memory. */
const IN_FLIGHT = 32;
/** How long between tries while the disk is full. */
const RETRY_MS = 1000;
/** A reply that was committed before a crash is not appended again by the repeated delivery. */
const REPLY_DEDUPE_MS = 3 * 86_400_000;

export interface CommitterOptions {
  /** Messages arrive in order. */
  readonly post: (message: ToWriter, transfer: readonly ArrayBuffer[]) => void;
  readonly clock: Clock;
  readonly limits: JournalTuning["limits"];
  readonly ring: Ring;
  readonly refusals: RefusalQueue;
  readonly start: WriterState;
  /** Runs once the present turn of the event loop has taken what is there: `setImmediate`. */
  readonly soon: (run: () => void) => void;
  /** `stalled`, `intake` or `lost` has changed. */
  readonly changed: () => void;
  /** Other sizes, for tests. */
  readonly grouping?: Grouping;
}

interface Away {
  readonly batch: Batch;
  readonly group: Group;
}

export class Committer implements DeltaSink {
  readonly times = new CommitTimes();
  uncommittedBytes = 0;
  state: WriterState;
  lost: Error | null = null;
  #stalled = false;
  #closed: ClosedReason | null;
  #limits: JournalTuning["limits"];
  readonly #options: CommitterOptions;
  readonly #grouping: Grouping;
  readonly #arena = new Arena();
  #open: Batch;
  /** Full batches that wait for the writer, oldest first. */
  #queue: Batch[] = [];
  #away: Away[] = [];
  /** Groups that met a full disk, until all that left behind them are back too. */
  #failed: Away[] = [];
  /** How many retries in a row have failed. */
  #retries = 0;
  #number = 0;
  #scheduled = false;
  /** This turn has had an event for which there was no room. */
  #crowded = false;
  /** Some may be in it twice. Not a set: it is emptied with each commit, and leaves a table behind each time. */
  #dirty: DeltaSource[] = [];
  #sinks = new Map<string, SinkState>();
  readonly #questions: WriterQuestions;
  readonly #overdue: Overdue;
  readonly #listeners = new Set<(committed: Committed) => void>();
  #drained: (() => void)[] = [];

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#grouping = options.grouping ?? GROUPING;
    this.#limits = options.limits;
    this.state = options.start;
    this.#closed = options.start.closed;
    this.#open = new Batch(this.#arena);
    this.#questions = new WriterQuestions((message) => this.#post(message));
    this.#overdue = new Overdue(
      options.clock,
      () => this.#limits.commitWaitMs,
      () => [...this.#away.map(({ batch }) => batch), ...this.#queue, this.#open],
    );
  }

  get stalled(): boolean {
    return this.#stalled || this.lost !== null;
  }

  intake(): Intake {
    const reason = this.lost !== null ? "journal_lost" : this.#closed;
    if (reason === null) return { open: true };
    return { open: false, reason, retryAfterMs: RETRY_AFTER_FULL_MS };
  }

  configure(tuning: JournalTuning): void {
    this.#limits = tuning.limits;
    this.#post({ kind: "configure", tuning });
  }

  append(event: NewEvent, dedupeMs: number | null): Promise<Appended> {
    if (this.lost !== null) return Promise.reject(this.lost);
    if (this.#closed !== null) return Promise.reject(fullError(this.#closed));
    const bytes = event.body.byteLength + event.headers.byteLength;
    const over = this.uncommittedBytes + bytes > this.#limits.uncommittedBytes && this.uncommittedBytes > 0;
    if (over || this.#crowded) return this.#refuse();
    const open = this.#open.packer;
    if (open.count >= this.#grouping.events || (open.count > 0 && open.size + bytes > this.#grouping.bytes)) {
      open.close();
      this.#queue.push(this.#open);
      this.#open = new Batch(this.#arena);
      this.#sendFull();
    }
    this.uncommittedBytes += bytes;
    this.#overdue.watch();
    this.#schedule();
    return this.#open.append(event, dedupeMs, this.#options.clock.monotonic());
  }

  /** With it all that comes in the same turn, though it be small enough: what comes in order is refused in order. */
  #refuse(): Promise<never> {
    if (!this.#crowded) {
      this.#crowded = true;
      this.#options.soon(() => {
        this.#crowded = false;
      });
    }
    return Promise.reject(busyError());
  }

  dirty(source: DeltaSource): void {
    this.#dirty.push(source);
    this.#schedule();
  }

  setSink(sink: string, state: SinkState): void {
    this.#sinks.set(sink, state);
    this.#schedule();
  }

  /** There are refusals to take. */
  refused(): void {
    this.#schedule();
  }

  /**
   * A commit of its own, behind all that was settled before. `apply` is called with its value before anybody hears of a
   * later commit. Rejects with a LeatError.
   */
  command(command: Command, apply?: (value: unknown) => void): Promise<unknown> {
    if (this.lost !== null) return Promise.reject(this.lost);
    if (this.#stalled) return Promise.reject(fullError("disk_full"));
    // What was settled before it is committed before it.
    if (this.#dirty.length > 0) this.#send(this.#nextBatch());
    return this.#questions.command(command, apply);
  }

  /** Resolves when the writer has answered. */
  ping(): Promise<void> {
    if (this.lost !== null) return Promise.reject(this.lost);
    return this.#questions.ping();
  }

  onCommit(listener: (committed: Committed) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when nothing waits for a commit any more (or nothing ever will be committed). */
  async drain(): Promise<void> {
    this.#schedule();
    if (this.#idle()) return;
    await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** What the writer says. */
  receive(message: FromWriter): void {
    switch (message.kind) {
      case "results":
        this.#received(message);
        break;
      case "commanded":
        this.#commanded(message);
        break;
      case "state":
        this.state = message.state;
        this.#close(message.state.closed);
        break;
      case "pong":
        this.#questions.pong(message.number);
        break;
      case "ready":
      case "closed":
      case "refused":
        // Of opening and closing: the client's.
        break;
    }
  }

  /** The journal is lost to this process. */
  lose(error: Error): void {
    if (this.lost !== null) return;
    this.lost = error;
    const batches = [...this.#failed, ...this.#away].map(({ batch }) => batch);
    batches.push(...this.#queue, this.#open);
    this.#failed = [];
    this.#away = [];
    this.#queue = [];
    this.#open = new Batch(this.#arena);
    this.uncommittedBytes = 0;
    for (const batch of batches) {
      batch.rejectAll(error);
      for (const { source, taken } of batch.settling) source.lost(taken, error);
    }
    for (const source of this.#dirty) source.lost(null, error);
    this.#dirty = [];
    this.#questions.lose(error);
    this.#settled();
    this.#options.changed();
  }

  // ------------------------------------------------------------------------------------------------------- sending

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.soon(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    // While stalled it is the retry that sends, one at a time.
    while (this.lost === null && !this.#stalled && this.#away.length < IN_FLIGHT) {
      const waiting = this.#queue.length > 0 || this.#open.packer.count >= this.#grouping.worthSending;
      if (this.#away.length > 0 && !waiting) return;
      if (!this.#something()) return;
      this.#send(this.#nextBatch());
    }
  }

  #something(): boolean {
    return (
      this.#queue.length > 0 ||
      this.#open.packer.count > 0 ||
      this.#dirty.length > 0 ||
      this.#sinks.size > 0 ||
      this.#options.refusals.waiting
    );
  }

  #nextBatch(): Batch {
    const queued = this.#queue.shift();
    if (queued !== undefined) return queued;
    const batch = this.#open;
    this.#open = new Batch(this.#arena);
    return batch;
  }

  #send(batch: Batch, retry = false): void {
    for (const source of this.#dirty) {
      const taken = source.takeDelta();
      if (taken === null) continue;
      batch.settling.push({ source, taken });
      // Leat's own have a new id each time, which nobody ever repeats.
      for (const event of taken.raises) {
        batch.packer.add(event, 0, event.source === LEAT_SOURCE ? null : REPLY_DEDUPE_MS);
      }
    }
    this.#dirty = [];
    batch.packer.close();
    const sinks = Array.from(this.#sinks, ([sink, state]) => ({ sink, state }));
    if (this.#sinks.size > 0) this.#sinks = new Map();
    this.#leave(batch, { retry, sinks, refusals: this.#options.refusals.take() });
  }

  /**
   * A full group needn't wait for the end of a turn that brings many: the writer would stand idle all the while. It goes
   * without what is to be settled, for whoever appends may be in the midst of settling.
   */
  #sendFull(): void {
    while (this.lost === null && !this.#stalled && this.#away.length < IN_FLIGHT) {
      const full = this.#queue.shift();
      if (full === undefined) return;
      this.#leave(full, { retry: false, sinks: [], refusals: [] });
    }
  }

  #leave(batch: Batch, beside: Pick<Group, "retry" | "sinks" | "refusals">): void {
    const group: Group = {
      number: ++this.#number,
      now: this.#options.clock.wall(),
      appends: batch.packer.pack(),
      raisedFrom: batch.appends,
      deltas: batch.settling.map(({ taken }) => taken.delta),
      ...beside,
    };
    this.#away.push({ batch, group });
    this.#post({ kind: "group", group }, transferOf(group.appends));
  }

  #post(message: ToWriter, transfer: readonly ArrayBuffer[] = []): void {
    if (this.lost === null) this.#options.post(message, transfer);
  }

  // ----------------------------------------------------------------------------------------------------- receiving

  #received({ results, seconds }: Extract<FromWriter, { kind: "results" }>): void {
    let events = 0;
    let bytes = 0;
    for (const result of results) {
      const away = this.#away.shift();
      if (away === undefined) return;
      const { batch } = away;
      this.#forget(batch);
      if (result.ok) {
        events += this.#committed(batch, result);
        bytes += batch.bytes;
      } else if (result.failure === "full") this.#full(away);
      else {
        this.#away.unshift(away);
        this.lose(lostError(result.failure, result.message));
        return;
      }
    }
    if (results.some(({ ok }) => ok)) this.times.add(seconds, events, bytes);
    this.#settled();
    this.#pump();
  }

  /** Returns how many events are new. */
  #committed(batch: Batch, result: Extract<GroupResult, { ok: true }>): number {
    const committed = freshOf(batch, result);
    if (this.#stalled) {
      this.#stalled = false;
      this.#retries = 0;
      this.#options.changed();
    }
    const shed = this.#options.ring.push(committed);
    for (const { source, taken } of batch.settling) source.committed(taken);
    let at = 0;
    let seq = result.firstSeq;
    const { duplicates, refused } = result;
    const refusedIndexes = new Map(refused.map(({ index, message }) => [index, message]));
    for (let index = 0; index < batch.appends; index++) {
      const duplicate = duplicates[at];
      if (duplicate !== undefined && duplicate.index === index) {
        batch.resolve(index, duplicate.seq, true, duplicate.differs);
        at++;
      } else if (refusedIndexes.has(index)) {
        batch.reject(index, refusedError(refusedIndexes.get(index) ?? ""));
      } else batch.resolve(index, seq++, false, false);
    }
    this.#tell(committed, shed);
    return committed.count;
  }

  /** Tells of a commit. What the ring has shed for it goes only then: it may be this very commit. */
  #tell(committed: Committed, shed: readonly Committed[]): void {
    if (committed.count > 0) for (const listener of this.#listeners) listener(committed);
    for (const gone of shed) gone.release();
  }

  /** The disk is full: appends are refused, the rest is kept for the next try. */
  #full(away: Away): void {
    this.#failed.push(away);
    const waiting = [...this.#queue, this.#open];
    this.#queue = [];
    this.#open = new Batch(this.#arena);
    for (const batch of waiting) this.#forget(batch);
    for (const batch of [away.batch, ...waiting]) batch.rejectAll(fullError("disk_full"));
    this.#close("disk_full");
    if (!this.#stalled) {
      this.#stalled = true;
      this.#options.changed();
    }
    // The writer refuses what left behind a group that failed, so that nothing overtakes it.
    if (this.#away.length > 0) return;
    this.#restore();
    // The writer has just made room by letting its ballast go: the first retry need not wait.
    if (this.#retries++ === 0) this.#options.soon(() => this.#retry());
    else this.#options.clock.after(RETRY_MS, () => this.#retry());
  }

  #retry(): void {
    // Also with nothing to settle: an empty group that commits says as much as a full one.
    if (this.lost === null && this.#stalled && this.#away.length === 0) this.#send(this.#nextBatch(), true);
  }

  /** From the newest to the oldest, so that each comes before what was gathered after it. */
  #restore(): void {
    const { refusals } = this.#options;
    for (const { batch, group } of this.#failed.toReversed()) {
      for (const { source, taken } of batch.settling.toReversed()) {
        source.restoreDelta(taken);
        this.#dirty.push(source);
      }
      for (const { sink, state } of group.sinks) if (!this.#sinks.has(sink)) this.#sinks.set(sink, state);
      refusals.restore(group.refusals);
    }
    this.#failed = [];
  }

  #commanded({ number, result }: Extract<FromWriter, { kind: "commanded" }>): void {
    if (result.ok) {
      const { appended, through } = result;
      const packer = new EventPacker();
      for (const event of unpackEvents(appended)) packer.add(event, event.seq, null);
      const committed = new Committed(packer, through - appended.count + 1);
      const shed = this.#options.ring.push(committed);
      this.#questions.done(number, result.value);
      this.#tell(committed, shed);
    } else if (result.failure === "storage") this.lose(lostError("storage", result.error.message));
    else if (result.failure === "full") {
      this.#close("disk_full");
      this.#questions.failed(number, fullError("disk_full"));
    } else this.#questions.failed(number, leatError(result.error));
    this.#settled();
  }

  #close(reason: ClosedReason | null): void {
    if (this.#closed === reason) return;
    this.#closed = reason;
    this.#options.changed();
  }

  /** Its bytes no longer wait. */
  #forget(batch: Batch): void {
    this.uncommittedBytes -= batch.bytes;
  }

  #idle(): boolean {
    if (this.lost !== null) return true;
    return this.#away.length === 0 && this.#questions.idle && !this.#something();
  }

  #settled(): void {
    if (this.#drained.length === 0 || !this.#idle()) return;
    for (const resolve of this.#drained) resolve();
    this.#drained = [];
  }
}

/** The batch's events that are new, on the memory that stayed here. */
function freshOf(
  batch: Batch,
  { firstSeq, duplicates, refused }: Extract<GroupResult, { ok: true }>,
): Committed {
  if (duplicates.length + refused.length === 0) return new Committed(batch.packer, firstSeq);
  const stale = new Set<number>();
  for (const { index } of duplicates) stale.add(index);
  for (const { index } of refused) stale.add(index);
  return new Committed(batch.packer, firstSeq, stale);
}
