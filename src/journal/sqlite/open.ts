/**
 * Opens the journal on SQLite: the folder, the writer's thread, two readers, the projections, and the four interfaces
 * over them. The only file that knows how they hang together.
 */
import { randomInt } from "node:crypto";
import { LeatError } from "../../errors.ts";
import type { Chance, Clock, Logger } from "../../ports.ts";
import type { Journal, JournalHealth, JournalMetrics, JournalTuning } from "../journal.ts";
import { ClockGuard, clockMark, explained } from "./clock-guard.ts";
import { Committer } from "./committer.ts";
import { openFolder } from "./folder.ts";
import { type AskedLedger, LEDGER_QUERIES, SqliteHistory } from "./history.ts";
import { SqliteLedger } from "./ledger.ts";
import type { LedgerQueries } from "./ledger-queries.ts";
import type { LedgerStart } from "./ledger-store.ts";
import { type AskedLog, SqliteLog } from "./log.ts";
import type { LogQueries } from "./log-queries.ts";
import { Reader } from "./reader.ts";
import { RefusalQueue } from "./refusals.ts";
import { Ring } from "./ring.ts";
import type { Watermark } from "./space.ts";
import { openStreamIndex } from "./stream-index.ts";
import { startWriter } from "./writer-client.ts";

export interface OpenJournal {
  /** The journal's folder; made if missing. */
  readonly path: string;
  readonly tuning: JournalTuning;
  /** Intake stops below it: the smaller of a share of the file system and a number of bytes. */
  readonly watermark: Watermark;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly log: Logger;
}

/** Let go when the disk is full, so that settlements and retention can commit. */
const BALLAST_BYTES = 64 * 1024 * 1024;
/** Events kept in the main thread's memory. */
const RING_BYTES = 64 * 1024 * 1024;
const TICK_MS = 1000;
/** How long closing waits for what is still to be committed. */
const DRAIN_MS = 10_000;
/** Above it something keeps the WAL from being moved into the database. */
const WAL_NOTE_BYTES = 256 * 1024 * 1024;

/**
 * Rejects with a LeatError: `damaged` (`journal_locked`, `journal_newer`, `journal_damaged`: exit 3), `storage` (exit 4),
 * `configuration` (`journal_path`).
 */
export async function openSqliteJournal(options: OpenJournal): Promise<Journal> {
  const { path, tuning, watermark, clock, log } = options;
  const folder = openFolder(path);
  const file = folder.file("journal.db");
  try {
    const writer = await startWriter({
      file,
      tuning,
      watermark,
      ballastBytes: BALLAST_BYTES,
      seed: randomInt(2 ** 32),
      now: clock.wall(),
    });
    const { start } = writer;
    const guard = new ClockGuard(
      clock,
      start.mark === null || explained(start.mark, clockMark(clock.wall())),
    );
    const ring = new Ring(start.newest, RING_BYTES);
    const refusals = new RefusalQueue(clock);
    const listeners = new Set<(health: JournalHealth) => void>();
    let ledger: SqliteLedger | null = null;
    const changed = () => {
      ledger?.wake();
      const health = journal.health();
      for (const listener of listeners) listener(health);
    };
    const committer = new Committer({
      post: writer.post,
      clock,
      limits: tuning.limits,
      ring,
      refusals,
      start: start.state,
      soon: setImmediate,
      changed,
    });
    let closing = false;
    writer.listen(
      (message) => committer.receive(message),
      (error) => {
        if (!closing) committer.lose(error);
      },
    );
    refusals.onWaiting = () => committer.refused();
    const readers = ["delivery", "people"].map(
      (name) => new Reader(file, `journal reader: ${name}`, (error) => committer.lose(error)),
    );
    const queries: AskedLog = readers[0]!.proxy<LogQueries>("log", [
      "read",
      "get",
      "load",
      "total",
      "mark",
      "seqBefore",
      "seqAtTotal",
    ]);
    const journalLog = new SqliteLog(committer, ring, queries, log);
    const asked: AskedLedger = readers[1]!.proxy<LedgerQueries>("ledger", LEDGER_QUERIES);
    ledger = new SqliteLedger({
      commits: committer,
      feed: journalLog,
      clock,
      start: start.ledger as LedgerStart,
      sinks: start.sinks,
      clean: start.clean,
      mayExpireByAge: () => guard.trusted(),
      dead: asked.dead,
    });
    const streams = await openStreamIndex({ file: folder.file("streams.db"), log, clock });
    if (!start.clean)
      log.warn({ newest: start.newest }, "the journal was not closed cleanly; nothing is lost by it");

    let stopTicking = () => {};
    const tick = () => {
      const now = clock.wall();
      writer.post({ kind: "tick", now, trusted: guard.trusted(), mark: clockMark(now) }, []);
      stopTicking = clock.after(TICK_MS, tick);
    };
    tick();

    const notes = (): string[] => {
      const { dedupeEvictedEarly, walBytes } = committer.state;
      const found: string[] = [];
      if (!guard.trusted())
        found.push("The clock has stepped: nothing is deleted or expired by age for now.");
      if (dedupeEvictedEarly > 0) found.push(`${dedupeEvictedEarly} ids were forgotten before their time.`);
      if (walBytes > WAL_NOTE_BYTES) found.push(`journal.db-wal has grown to ${walBytes} bytes.`);
      if (journalLog.damaged.size > 0) found.push(`${journalLog.damaged.size} events are damaged on disk.`);
      return found;
    };

    const journal: Journal = {
      log: journalLog,
      ledger,
      history: new SqliteHistory(asked, refusals),
      streams,
      health: () => ({
        intake: committer.intake(),
        stalled: committer.stalled,
        failed: committer.lost,
        notes: notes(),
      }),
      onHealth(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      async ping(ms) {
        let stop = () => {};
        const late = new Promise<never>((_, reject) => {
          stop = clock.after(ms, () => reject(silentError(ms)));
        });
        try {
          await Promise.race([committer.ping(), late]);
        } finally {
          stop();
        }
      },
      metrics: (): JournalMetrics => {
        const { times, state, uncommittedBytes } = committer;
        const { oldest, newest } = journalLog.bounds();
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
          retainedThrough: oldest - 1,
        };
      },
      configure: (changedTuning) => committer.configure(changedTuning),
      async close() {
        if (closing) return;
        stopTicking();
        ledger.flush();
        await bounded(committer.drain(), DRAIN_MS);
        closing = true;
        ledger.close();
        // Readers first: whoever closes last moves the WAL away, and only the writer may.
        await Promise.all([...readers.map((reader) => reader.close()), streams.close()]);
        writer.post({ kind: "close", mark: clockMark(clock.wall()) }, []);
        await writer.ended();
        committer.lose(new LeatError("unavailable", "journal_closed", "The journal is closed."));
        folder.release();
      },
    };
    return journal;
  } catch (error) {
    folder.release();
    throw error;
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
