/**
 * What may leave the journal, in steps so small that no commit waits for long: at most `STEP` rows between two groups.
 *
 * An event goes, from the oldest on, when it is past `retention.age` or the journal is over `retention.size`, and every
 * subscription has settled it (J6), and it is not the `cause` of a reply that is still owed. Where the disk is short of
 * room it goes before its time: what is settled is of less use than what senders have to say now. Attempts go with their
 * events; ids, refusals and dead letters by their own age. What frees pages gives them back to the file system.
 *
 * While the clock can't be trusted nothing is deleted by age; by size still.
 */
import type { Seq } from "../../event.ts";
import type { JournalTuning } from "../journal.ts";
import { DELETE_UNUSED_COPY } from "./kept.ts";
import type { Row, Statement } from "./storage.ts";
import type { Writer } from "./writer.ts";

/** Rows a step: few, since a group that waits for its commit waits for the step. */
const STEP = 200;
/** Pages given back a step, and how many free ones are kept for new events to use. */
const VACUUM_PAGES = 64;
const SPARE_PAGES = 1024;
/** Attempts of replays whose event is gone from the log, and dead letters' sizes, are looked at this often, in ms. */
const SWEEP_MS = 60_000;

type Work = (now: number, trusted: boolean) => number;

export class Retention {
  #retention: JournalTuning["retention"];
  readonly #writer: Writer;
  readonly #lowest: Statement;
  readonly #deletions: readonly Statement[];
  readonly #subscriptions: Statement;
  readonly #lowestRow: Statement;
  readonly #settledReplies: Statement;
  readonly #lowestCause: Statement;
  readonly #refusals: Statement;
  readonly #deadByAge: Statement;
  readonly #deadOldest: Statement;
  readonly #deadRemove: Statement;
  readonly #keptUnused: Statement;
  readonly #keptBytes: Statement;
  readonly #looseAttempts: Statement;
  readonly #freePages: Statement;
  readonly #pages: Statement;
  readonly #pageBytes: number;
  /** Null: to be asked again. Only ever too low, never too high, while it is cached. */
  #floor: Seq | null = null;
  #oldest: Seq;
  /** The bytes of the events kept. */
  #bytes = 0;
  #swept = Number.NEGATIVE_INFINITY;
  #deadBytesOver = 0;
  /** Bytes that the disk is short of, and so many of settled events that go before their time; null: to be worked out. */
  #short = 0;
  #wanted: number | null = 0;
  /** True when the size asks for more room than what is settled gives. */
  #held = false;

  constructor(writer: Writer, retention: JournalTuning["retention"]) {
    const { storage } = writer;
    this.#writer = writer;
    this.#retention = retention;
    this.#lowest = storage.prepare(
      "SELECT seq, time, total, length(headers) + length(body) + length(id) AS size FROM event ORDER BY seq LIMIT ?",
    );
    this.#deletions = [
      storage.prepare("DELETE FROM event WHERE seq <= ?"),
      storage.prepare("DELETE FROM attempt WHERE seq <= ?2 AND seq >= ?1"),
      storage.prepare("DELETE FROM expiry WHERE last <= ?"),
    ];
    this.#subscriptions = storage.prepare("SELECT id, cursor, until FROM subscription");
    this.#lowestRow = storage.prepare(
      "SELECT min(seq) AS seq FROM delivery WHERE subscription = ? AND seq >= ?",
    );
    this.#settledReplies = storage.prepare("DELETE FROM reply WHERE seq < ?");
    this.#lowestCause = storage.prepare("SELECT min(cause) AS seq FROM reply WHERE cause >= ?");
    this.#refusals = storage.prepare(
      `DELETE FROM refusal WHERE id IN (SELECT id FROM refusal WHERE at < ? ORDER BY id LIMIT ${STEP})`,
    );
    this.#deadByAge = storage.prepare(
      `SELECT subscription, seq, replay, route, cause FROM dead WHERE at < ? ORDER BY at LIMIT ${STEP}`,
    );
    this.#deadOldest = storage.prepare(
      `SELECT subscription, seq, replay, route, cause FROM dead ORDER BY at LIMIT ${STEP}`,
    );
    this.#deadRemove = storage.prepare(
      "DELETE FROM dead WHERE subscription = ? AND seq = ? AND replay = ? AND route = ?",
    );
    this.#keptUnused = storage.prepare(
      `${DELETE_UNUSED_COPY} RETURNING length(headers) + length(body) + length(id) AS size`,
    );
    this.#keptBytes = storage.prepare(
      "SELECT sum(length(headers) + length(body) + length(id)) AS bytes FROM kept",
    );
    this.#looseAttempts = storage.prepare(
      `DELETE FROM attempt WHERE seq IN (SELECT DISTINCT seq FROM attempt WHERE seq < ? AND at < ? LIMIT ${STEP})`,
    );
    this.#freePages = storage.prepare("PRAGMA freelist_count");
    this.#pages = storage.prepare("PRAGMA page_count");
    this.#pageBytes = Number(storage.prepare("PRAGMA page_size").get()?.page_size ?? 0);
    const first = this.#lowest.get(1);
    this.#oldest = first === undefined ? writer.newest + 1 : Number(first.seq);
    this.#measure(first);
  }

  /** The lowest seq kept; `newest + 1` when none is. */
  get oldest(): Seq {
    return Math.min(this.#oldest, this.#writer.newest + 1);
  }

  /** The bytes of the events kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The journal has reached its bound and nothing more may go: sources have to wait (J6). */
  get full(): boolean {
    return this.#held && this.#bytes > this.#retention.bytes;
  }

  configure(retention: JournalTuning["retention"]): void {
    this.#retention = retention;
    this.forgetFloor();
  }

  /** The disk is short of so many bytes: what is settled goes before its time, and free pages to the file system. */
  makeRoom(bytes: number): void {
    this.#short = bytes;
    this.#wanted = null;
  }

  /** After a command of the ledger, which may owe older events anew (a replay, a subscription from the beginning). */
  forgetFloor(): void {
    this.#floor = null;
  }

  /** One small step, at most `rows` rows. True when there is more to do at once. */
  step(now: number, trusted: boolean, rows = STEP): boolean {
    const max = Math.max(rows, STEP);
    const [oldest, bytes, wanted] = [this.#oldest, this.#bytes, this.#wanted];
    const works: Work[] = [
      () => this.#events(now, trusted, max),
      () => this.#writer.duplicates.forget(max, trusted ? now : null),
      () => (trusted ? Number(this.#refusals.run(now - this.#retention.ageMs).changes) : 0),
      () => this.#dead(now, trusted),
      () => this.#vacuum(),
    ];
    if (now - this.#swept >= SWEEP_MS || now < this.#swept) {
      works.push(() => {
        const found = this.#sweep(now, trusted);
        if (found === 0) this.#swept = now;
        return found;
      });
    }
    const done = this.#writer.relaxed(() => {
      for (const work of works) {
        const count = work(now, trusted);
        if (count > 0) return count;
      }
      return 0;
    });
    if (done === null) {
      // Rolled back: what was noted of it is not so.
      this.#oldest = oldest;
      this.#bytes = bytes;
      this.#wanted = wanted;
      this.#floor = null;
      return false;
    }
    return done > 0;
  }

  /** The lowest seq that something still needs; events below it are settled everywhere. */
  floor(): Seq {
    if (this.#floor !== null) return this.#floor;
    let floor = this.#writer.newest + 1;
    for (const { id, cursor, until } of this.#subscriptions.all()) {
      if (until === null || Number(cursor) < Number(until)) floor = Math.min(floor, Number(cursor) + 1);
      const row = this.#lowestRow.get(id!, this.#oldest);
      if (row?.seq !== null && row?.seq !== undefined) floor = Math.min(floor, Number(row.seq));
    }
    this.#settledReplies.run(floor);
    const cause = this.#lowestCause.get(this.#oldest)?.seq;
    if (cause !== null && cause !== undefined) floor = Math.min(floor, Number(cause));
    this.#floor = floor;
    return floor;
  }

  #events(now: number, trusted: boolean, max: number): number {
    const { ageMs, bytes } = this.#retention;
    const { total } = this.#writer;
    // One row tells whether there is anything to do, which mostly there isn't.
    const first = this.#lowest.get(1);
    this.#held = false;
    this.#measure(first);
    if (first === undefined) return 0;
    this.#oldest = Number(first.seq);
    const oldestIsAged = trusted && Number(first.time) < now - ageMs;
    let wanted = (this.#wanted ??= Math.max(0, this.#short - this.#returning()));
    if (this.#bytes <= bytes && wanted <= 0 && !oldestIsAged) return 0;
    const rows = this.#lowest.all(max);
    const floor = this.floor();
    let count = 0;
    let before = total - this.#bytes;
    for (const row of rows) {
      const aged = trusted && Number(row.time) < now - ageMs;
      const over = total - before > bytes;
      if (!aged && !over && wanted <= 0) break;
      if (Number(row.seq) >= floor) {
        this.#held = over;
        break;
      }
      before = Number(row.total);
      wanted -= sizeOf(row);
      count++;
    }
    this.#bytes = total - before;
    this.#wanted = Math.max(0, wanted);
    if (count > 0) {
      const cut = Number(rows[count - 1]!.seq);
      const [events, attempts, expiries] = this.#deletions;
      events!.run(cut);
      attempts!.run(this.#oldest, cut);
      expiries!.run(cut);
      this.#oldest = cut + 1;
    }
    return count;
  }

  #dead(now: number, trusted: boolean): number {
    if (this.#deadBytesOver > 0) {
      const rows = this.#deadOldest.all();
      for (const row of rows) {
        if (this.#deadBytesOver <= 0) break;
        this.#deadBytesOver -= this.#removeDead(row);
      }
      if (rows.length === 0) this.#deadBytesOver = 0;
      return rows.length;
    }
    if (!trusted) return 0;
    const rows = this.#deadByAge.all(now - this.#retention.dead.ageMs);
    for (const row of rows) this.#removeDead(row);
    return rows.length;
  }

  /** Removes a dead letter, and its copies if no other needs them; returns the bytes freed. */
  #removeDead({ subscription, seq, replay, route, cause }: Row): number {
    this.#deadRemove.run(subscription!, seq!, replay!, route!);
    let freed = Number(this.#keptUnused.get(seq!)?.size ?? 0);
    if (cause !== null) freed += Number(this.#keptUnused.get(cause!)?.size ?? 0);
    return freed;
  }

  #sweep(now: number, trusted: boolean): number {
    const { ageMs, bytes } = this.#retention.dead;
    // Summing reads row by row; a file smaller than the bound can't hold more than it.
    if (this.#writer.storage.sizes().file > bytes) {
      this.#deadBytesOver = Number(this.#keptBytes.get()?.bytes ?? 0) - bytes;
    }
    return trusted ? Number(this.#looseAttempts.run(this.#oldest, now - ageMs).changes) : 0;
  }

  #vacuum(): number {
    const free = this.#free();
    // New events use free pages first; only what a shrunken journal will not need soon is given back, unless others need it.
    const spare = this.#short > 0 ? 0 : Math.max(SPARE_PAGES, Number(this.#pages.get()?.page_count ?? 0) / 4);
    if (free <= spare) return 0;
    this.#writer.storage.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    return VACUUM_PAGES;
  }

  /** Bytes that the file system has back soon: pages free or cut off, and the WAL, which is moved while room is short. */
  #returning(): number {
    const { file, wal } = this.#writer.storage.sizes();
    const used = Number(this.#pages.get()?.page_count ?? 0) - this.#free();
    return wal + Math.max(0, file - used * this.#pageBytes);
  }

  #free(): number {
    return Number(this.#freePages.get()?.freelist_count ?? 0);
  }

  #measure(first: Row | undefined): void {
    this.#bytes = first === undefined ? 0 : this.#writer.total - (Number(first.total) - sizeOf(first));
  }
}

/** As `eventBytes` counts it. */
function sizeOf(row: Row): number {
  return Number(row.size) + 64;
}
