/**
 * Opens the journal on SQLite: the folder, the writer's thread, two readers, the projections, and the four interfaces
 * over them. The only file that knows how they hang together.
 */
import { randomInt } from "node:crypto";
import { LeatError } from "../../errors.ts";
import type { Chance, Clock, Logger } from "../../ports.ts";
import type { JournalTuning } from "../journal.ts";
import { createPrivate } from "./check.ts";
import { startCheckpointer } from "./checkpointer.ts";
import { ClockGuard, clockMark, explained } from "./clock-guard.ts";
import { Committer } from "./committer.ts";
import { leaveDoubt } from "./doubt.ts";
import { type Folder, openFolder } from "./folder.ts";
import { LEDGER_QUERIES, SqliteHistory } from "./history.ts";
import { SqliteLedger } from "./ledger.ts";
import type { LedgerQueries } from "./ledger-queries.ts";
import type { LedgerStart } from "./ledger-store.ts";
import { LOG_QUERIES, SqliteLog } from "./log.ts";
import type { LogQueries } from "./log-queries.ts";
import { SqliteNotes } from "./notes.ts";
import { Reader } from "./reader.ts";
import { RefusalQueue } from "./refusals.ts";
import { Ring } from "./ring.ts";
import type { Watermark } from "./space.ts";
import { SqliteJournal } from "./sqlite-journal.ts";
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

/**
 * Rejects with a LeatError: `damaged` (`journal_locked`, `journal_newer`, `journal_damaged`: exit 3), `storage` (exit 4),
 * `configuration` (`journal_path`).
 */
export async function openSqliteJournal(options: OpenJournal): Promise<SqliteJournal> {
  const folder = openFolder(options.path, options.log);
  try {
    return await openIn(folder, options);
  } catch (error) {
    if (isLostByDisk(error)) leaveDoubt(folder.path);
    folder.release();
    throw error;
  }
}

/** What is open has threads and timers of its own: if the rest can't be opened, all of it is closed before that is told. */
async function openIn(folder: Folder, options: OpenJournal): Promise<SqliteJournal> {
  const opened: (() => unknown)[] = [];
  try {
    return await openParts(folder, options, opened);
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}

function isLostByDisk(error: unknown): boolean {
  return error instanceof LeatError && error.code === "journal_lost" && error.kind === "storage";
}

/** Puts into `opened` how to close what it has opened so far. */
async function openParts(
  folder: Folder,
  { tuning, watermark, clock, log }: OpenJournal,
  opened: (() => unknown)[],
): Promise<SqliteJournal> {
  const file = folder.file("journal.db");
  const now = clock.wall();
  const seed = randomInt(2 ** 32);
  const writer = await startWriter({ file, tuning, watermark, ballastBytes: BALLAST_BYTES, seed, now });
  const { start } = writer;
  opened.push(() => {
    writer.post({ kind: "close", mark: clockMark(now), clean: start.clean }, []);
    return writer.ended();
  });
  folder.begun();
  createPrivate(folder.file("streams.db"));
  if (!start.clean) {
    log.warn(
      { newest: start.newest },
      "the journal was not closed cleanly; every commit in its log was found whole",
    );
  }

  let journal: SqliteJournal | null = null;
  const ring = new Ring(start.newest, RING_BYTES);
  const refusals = new RefusalQueue(clock);
  const committer = new Committer({
    post: writer.post,
    clock,
    limits: tuning.limits,
    ring,
    refusals,
    start: start.state,
    soon: setImmediate,
    changed() {
      if (isLostByDisk(committer.lost)) leaveDoubt(folder.path);
      journal?.changed();
    },
  });
  refusals.onWaiting = () => committer.refused();
  writer.listen(
    (message) => committer.receive(message),
    (error) => committer.lose(error),
  );

  const checkpointer = startCheckpointer(file, log);
  opened.push(() => checkpointer.close());
  const reader = (name: string) => {
    const started = new Reader(file, `journal reader: ${name}`, (error) => committer.lose(error));
    opened.push(() => started.close());
    return started;
  };
  const forDelivery = reader("delivery");
  const forPeople = reader("people");
  const answers = forPeople.proxy<LedgerQueries>("ledger", LEDGER_QUERIES);
  const events = new SqliteLog(committer, ring, forDelivery.proxy<LogQueries>("log", LOG_QUERIES), log);
  const guard = new ClockGuard(clock, start.mark === null || explained(start.mark, clockMark(now)));
  const mayRemoveByAge = () => guard.trusted();
  const streams = await openStreamIndex({
    file: folder.file("streams.db"),
    log,
    clock,
    mayRemoveByAge,
    newest: start.newest,
  });
  opened.push(() => streams.close());
  const ledger = new SqliteLedger({
    commits: committer,
    feed: events,
    clock,
    // Made by `LedgerStore.load` in the writer's thread, and posted as it is.
    start: start.ledger as LedgerStart,
    sinks: start.sinks,
    clean: start.clean,
    mayExpireByAge: mayRemoveByAge,
    dead: (query) => answers.dead(query),
  });
  opened.push(() => ledger.close());
  const history = new SqliteHistory(answers, refusals);
  // Lost while it was being opened.
  if (committer.lost !== null) throw committer.lost;
  journal = new SqliteJournal({
    folder,
    writer,
    committer,
    checkpointer,
    readers: [forDelivery, forPeople],
    log: events,
    ledger,
    history,
    streams,
    notes: new SqliteNotes(start.notes, (command) => committer.command(command)),
    mark: start.journalMark,
    guard,
    clock,
    logger: log,
  });
  return journal;
}
