/** The open journal as the rest of Leat has it: health, metrics, the tick that drives what goes on by itself, closing. */
import { LeatError } from "../../errors.ts";
import type { Clock, Logger } from "../../ports.ts";
import type {
  History,
  Journal,
  JournalHealth,
  JournalMetrics,
  JournalTuning,
  Notes,
  StreamIndex,
} from "../journal.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { type ClockGuard, clockMark } from "./clock-guard.ts";
import type { Committer } from "./committer.ts";
import type { Folder } from "./folder.ts";
import type { SqliteLedger } from "./ledger.ts";
import type { SqliteLog } from "./log.ts";
import type { Reader } from "./reader.ts";
import type { WriterClient } from "./writer-client.ts";

const TICK_MS = 1000;
/** How long closing waits for what is still to be committed. */
const DRAIN_MS = 10_000;
/** Above it something keeps the WAL from being moved into the database. */
const WAL_NOTE_BYTES = 256 * 1024 * 1024;

export interface JournalParts {
  readonly folder: Folder;
  readonly writer: WriterClient;
  readonly committer: Committer;
  readonly checkpointer: Checkpointer;
  readonly readers: readonly Reader[];
  readonly log: SqliteLog;
  readonly ledger: SqliteLedger;
  readonly history: History;
  readonly notes: Notes;
  readonly mark: string;
  readonly streams: StreamIndex & { problem(): string | null; close(): Promise<void> };
  readonly guard: ClockGuard;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where people see that the clock is doubted: the log and /readyz. */
const CONFIRM =
  "if the time is right, `leat confirm-clock` says so; else it is trusted again after ten minutes";

export class SqliteJournal implements Journal {
  readonly log: SqliteLog;
  readonly ledger: SqliteLedger;
  readonly history: History;
  readonly streams: StreamIndex;
  readonly notes: Notes;
  readonly mark: string;
  readonly #parts: JournalParts;
  readonly #listeners = new Set<(health: JournalHealth) => void>();
  #stopTicking: () => void = () => {};
  /** As the log has it. */
  #clockTrusted = true;
  #closing: Promise<void> | null = null;

  constructor(parts: JournalParts) {
    this.#parts = parts;
    this.log = parts.log;
    this.ledger = parts.ledger;
    this.history = parts.history;
    this.streams = parts.streams;
    this.notes = parts.notes;
    this.mark = parts.mark;
    this.#tick();
  }

  health(): JournalHealth {
    const { committer } = this.#parts;
    return {
      intake: committer.intake(),
      stalled: committer.stalled,
      failed: committer.lost,
      notes: this.#notes(),
    };
  }

  onHealth(listener: (health: JournalHealth) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The committer's state has changed. */
  changed(): void {
    if (this.#closing !== null) return;
    if (!this.#parts.committer.stalled) this.ledger.wake();
    const health = this.health();
    for (const listener of this.#listeners) listener(health);
  }

  async ping(ms: number): Promise<void> {
    const { clock, committer } = this.#parts;
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      stop = clock.after(ms, () => reject(silentError(ms)));
    });
    try {
      await Promise.race([committer.ping(), late]);
    } finally {
      stop();
    }
  }

  metrics(): JournalMetrics {
    const { times, state, uncommittedBytes } = this.#parts.committer;
    const { oldest, newest } = this.log.bounds();
    return {
      commits: times.commits,
      committedEvents: times.events,
      committedBytes: times.bytes,
      commitSeconds: times.histogram(),
      uncommittedBytes,
      fileBytes: state.fileBytes,
      walBytes: state.walBytes,
      freeBytes: state.freeBytes,
      events: newest - oldest + 1,
      dedupeIds: state.dedupeIds,
      dedupeEvictedEarly: state.dedupeEvictedEarly,
      damagedEvents: this.log.damaged.size,
      retainedThrough: oldest - 1,
    };
  }

  configure(tuning: JournalTuning): void {
    this.#parts.committer.configure(tuning);
  }

  confirmClock(): boolean {
    const { guard } = this.#parts;
    const doubted = !guard.trusted();
    guard.confirm();
    this.#tellWriter();
    return doubted;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { folder, writer, committer, checkpointer, readers, streams, clock } = this.#parts;
    this.#stopTicking();
    this.ledger.flush();
    // A full disk may keep it from ever being done; what isn't committed was not promised.
    await bounded(committer.drain(), DRAIN_MS);
    this.ledger.close();
    // The others first: whoever closes last moves the WAL away, and only the writer may.
    await Promise.all([...readers.map((reader) => reader.close()), checkpointer.close(), streams.close()]);
    writer.post({ kind: "close", mark: clockMark(clock.wall()), clean: true }, []);
    await writer.ended();
    committer.lose(new LeatError("unavailable", "journal_closed", "The journal is closed."));
    folder.release();
  }

  #tick(): void {
    this.#tellWriter();
    this.#stopTicking = this.#parts.clock.after(TICK_MS, () => this.#tick());
  }

  #tellWriter(): void {
    const { writer, guard, clock, logger } = this.#parts;
    const [now, trusted] = [clock.wall(), guard.trusted()];
    writer.post({ kind: "tick", now, trusted, mark: clockMark(now) }, []);
    if (trusted === this.#clockTrusted) return;
    this.#clockTrusted = trusted;
    if (trusted) logger.info({}, "the clock is trusted again: what is too old is deleted and expires");
    else logger.warn({ remedy: CONFIRM }, "the clock has stepped: nothing is deleted or expired by age");
  }

  #notes(): string[] {
    const { committer, guard, streams } = this.#parts;
    const { dedupeEvictedEarly, walBytes, wantedBytes } = committer.state;
    const notes: string[] = [];
    if (!guard.trusted()) {
      notes.push(`The clock has stepped: nothing is deleted or expired by age for now (${CONFIRM}).`);
    }
    if (wantedBytes > 0) {
      notes.push("The disk is short of room: settled events are removed before retention.age.");
    }
    if (dedupeEvictedEarly > 0) notes.push(`${dedupeEvictedEarly} ids were forgotten before their time.`);
    if (walBytes > WAL_NOTE_BYTES) notes.push(`journal.db-wal has grown to ${walBytes} bytes.`);
    const damaged = this.log.damaged.size;
    if (damaged > 0) notes.push(`${damaged} ${damaged === 1 ? "event is" : "events are"} damaged on disk.`);
    const problem = streams.problem();
    if (problem !== null) notes.push(`Streams keep no history now: ${problem}.`);
    return notes;
  }
}

/** Resolves when `work` does, or after `ms` of real time: closing must end even if a clock is simulated. */
async function bounded(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

function silentError(ms: number): LeatError {
  return new LeatError(
    "unavailable",
    "journal_silent",
    `The journal's writer did not answer within ${ms} ms.`,
  );
}
