/**
 * What reader threads answer about the log: pages of events, single ones, places by bytes and by time. Synchronous, over
 * a read-only storage; every query is done when it returns, so that no open cursor keeps the WAL from being moved away.
 */
import { LeatError } from "../../errors.ts";
import type { Event, Seq } from "../../event.ts";
import { damagedEvent, EVENT_COLUMNS, toEvent } from "./event-row.ts";
import { EventPacker, type PackedEvents } from "./packed-events.ts";
import { SourceNames } from "./source-names.ts";
import { statements } from "./statements.ts";
import type { Row, Statement, Storage } from "./storage.ts";

/** A page ends after so many bytes. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** Rows asked of SQLite at once: bodies can be large, and a page may be full after a few. */
const ROWS = 64;
/** Rows looked at for one page when it wants few sources; the page then says how far it got. */
const SCAN = 20_000;

export interface PackedPage {
  readonly packed: PackedEvents;
  /** Nothing of the sources asked for is missing after `after` and up to here. */
  readonly through: Seq;
  /** Seqs of rows whose checksum is wrong; a placeholder stands in the page. */
  readonly damaged: readonly Seq[];
}

export class LogQueries {
  readonly #sources: SourceNames;
  readonly #page: Statement;
  readonly #one: Statement;
  readonly #kept: Statement;
  readonly #newest: Statement;
  readonly #prepare: (sql: string) => Statement;

  constructor(storage: Storage) {
    this.#prepare = statements(storage);
    this.#sources = new SourceNames(storage, { readOnly: true });
    this.#page = storage.prepare(`SELECT ${EVENT_COLUMNS} FROM event WHERE seq > ? ORDER BY seq LIMIT ?`);
    this.#one = storage.prepare(`SELECT ${EVENT_COLUMNS} FROM event WHERE seq = ?`);
    this.#kept = storage.prepare(`SELECT ${EVENT_COLUMNS} FROM kept WHERE seq = ?`);
    this.#newest = storage.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'event'");
  }

  /** As `Log.read`, with how far it got. */
  read(after: Seq, limit: number, sources: readonly string[] | null): PackedPage {
    const packer = new EventPacker();
    const damaged: Seq[] = [];
    const add = (row: Row) => {
      const event = toEvent(row, this.#sources.name);
      if (event === null) damaged.push(Number(row.seq));
      const shown = event ?? damagedEvent(row, this.#sources.name);
      packer.add(shown, shown.seq, null);
    };
    const through =
      sources === null
        ? this.#readAll(after, limit, packer, add)
        : this.#readSome(after, limit, sources, packer, add);
    return { packed: packer.pack(), through, damaged };
  }

  /** Null where it isn't. Throws LeatError `damaged` `damaged_row`. */
  get(seq: Seq): PackedEvents | null {
    const row = this.#one.get(seq);
    if (row === undefined) return null;
    const event = toEvent(row, this.#sources.name);
    if (event === null) throw damagedRow(seq);
    return packOne(event);
  }

  /** From the log, else from the copies beside dead letters; a placeholder for a damaged one. Packed: those that exist. */
  load(seqs: readonly Seq[]): PackedEvents {
    const packer = new EventPacker();
    for (const seq of seqs) {
      const row = this.#one.get(seq) ?? this.#kept.get(seq);
      if (row === undefined) continue;
      const event = toEvent(row, this.#sources.name) ?? damagedEvent(row, this.#sources.name);
      packer.add(event, seq, null);
    }
    return packer.pack();
  }

  /** Bytes of all events ever appended. */
  total(): number {
    return Number(this.#prepare("SELECT total FROM event ORDER BY seq DESC LIMIT 1").get()?.total ?? 0);
  }

  /** Of the first event at or after `seq`: when it was accepted, and the bytes before it. */
  mark(seq: Seq): { at: number; before: number } | null {
    const row = this.#prepare(
      `SELECT time, total - length(headers) - length(body) - length(id) - 64 AS before
       FROM event WHERE seq >= ? ORDER BY seq LIMIT 1`,
    ).get(seq);
    return row === undefined ? null : { at: Number(row.time), before: Number(row.before) };
  }

  /** The last seq up to which everything was accepted before `time`; by bisection, times being nearly in order. */
  seqBefore(time: number): Seq {
    return this.#bisect("time", (value) => value < time);
  }

  /**
   * The last seq up to which all behind `after` were accepted before `time`, of the next 20,000. Each is looked at: a
   * clock that was set back leaves times out of order, which a bisection would leap over.
   */
  agedThrough(after: Seq, time: number): Seq {
    const newest = Number(this.#newest.get()?.seq ?? after);
    const end = Math.min(newest, Math.max(after, this.#oldest() - 1) + SCAN);
    const younger = this.#prepare(
      "SELECT seq FROM event WHERE seq > ? AND seq <= ? AND time >= ? ORDER BY seq LIMIT 1",
    ).get(after, end, time);
    return younger === undefined ? Math.max(after, end) : Number(younger.seq) - 1;
  }

  /** The last seq up to which at most `total` bytes were ever appended. */
  seqAtTotal(total: number): Seq {
    return this.#bisect("total", (value) => value <= total);
  }

  #readAll(after: Seq, limit: number, packer: EventPacker, add: (row: Row) => void): Seq {
    const newest = Number(this.#newest.get()?.seq ?? after);
    let place = after;
    while (packer.count < limit && packer.size < PAGE_BYTES) {
      const wanted = Math.min(limit - packer.count, ROWS);
      const rows = this.#page.all(place, wanted);
      for (const row of rows) {
        if (packer.size >= PAGE_BYTES) return place;
        add(row);
        place = Number(row.seq);
      }
      // Up to what was newest before: what came since is not looked at.
      if (rows.length < wanted) return Math.max(place, newest);
    }
    return place;
  }

  /** Looks at the heads of rows first, so that other sources' bodies are not read. */
  #readSome(
    after: Seq,
    limit: number,
    sources: readonly string[],
    packer: EventPacker,
    add: (row: Row) => void,
  ): Seq {
    const ids = sources.map((name) => this.#sources.id(name)).filter((id) => id !== undefined);
    const newest = Number(this.#newest.get()?.seq ?? after);
    const end = Math.min(newest, Math.max(after, this.#oldest() - 1) + SCAN);
    if (ids.length > 0) {
      const marks = ids.map(() => "?").join(",");
      const select = this.#prepare(
        `SELECT seq FROM event WHERE seq > ? AND seq <= ? AND source IN (${marks}) ORDER BY seq LIMIT ?`,
      );
      for (const { seq } of select.all(after, end, ...ids, limit)) {
        if (packer.size >= PAGE_BYTES) return Number(seq) - 1;
        const row = this.#one.get(seq!);
        if (row !== undefined) add(row);
        if (packer.count === limit) return Number(seq);
      }
    }
    return Math.max(after, end);
  }

  #oldest(): Seq {
    return Number(this.#prepare("SELECT seq FROM event ORDER BY seq LIMIT 1").get()?.seq ?? 0);
  }

  /** The highest seq whose `column` still satisfies; the seq before the oldest one when none does. */
  #bisect(column: "time" | "total", satisfies: (value: number) => boolean): Seq {
    const newest = Number(this.#newest.get()?.seq ?? 0);
    const oldest = this.#oldest();
    if (oldest === 0) return newest;
    const select = this.#prepare(`SELECT ${column} AS value FROM event WHERE seq >= ? ORDER BY seq LIMIT 1`);
    let low = oldest - 1;
    let high = newest;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const value = select.get(middle)?.value;
      if (value !== undefined && satisfies(Number(value))) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function packOne(event: Event): PackedEvents {
  const packer = new EventPacker();
  packer.add(event, event.seq, null);
  return packer.pack();
}

function damagedRow(seq: Seq): LeatError {
  return new LeatError("damaged", "damaged_row", `Event ${seq} is damaged on disk: its checksum is wrong.`, {
    hint: "Ask its sender to send it again, and check the disk.",
  });
}
