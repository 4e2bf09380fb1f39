/**
 * Which (source, id) the journal has had lately. Rows of `dedupe` are appended with their events; the hash table in
 * memory finds the row, and only the row says *duplicate*. Works inside the writer's transaction and follows it back.
 *
 * A start doesn't wait for the table: what earlier processes left is read into it a little at a time (`load`) while the
 * writer already works. The first id that isn't in it by then may be in the rest, so that is read before it is answered.
 */
import type { Seq } from "../../event.ts";
import { BatchInsert } from "./batch-insert.ts";
import { DedupeTable } from "./dedupe-table.ts";
import type { ListStatement, Row, Statement, Storage } from "./storage.ts";

const COLUMNS = 7;
/**
 * Ids with the shortest window are forgotten on the minute, whatever lies between them; the others where they are the
 * oldest, or else when all is looked through again after so long, in ms.
 */
const SWEEP_MS = 3_600_000;

/** Rows read at once when the table is filled: so few that they are garbage before they are old. */
const PAGE = 1_000;

/** Below every seq. */
const NOTHING = -1;

export interface Original {
  readonly seq: Seq;
  /** Of the first one's body. */
  readonly length: number;
  readonly crc: number;
}

interface Entry extends Original {
  readonly hash: number;
  readonly source: number;
  readonly id: string;
}

export class Duplicates {
  /** Ids forgotten before their time because there were too many. */
  evictedEarly = 0;
  #limit: number;
  readonly #table: DedupeTable;
  readonly #insert: BatchInsert;
  readonly #select: Statement;
  readonly #behind: Statement;
  readonly #remove: Statement;
  readonly #page: ListStatement;
  /** The table has what lies at or below `after`; up to `through` the rest is still to be read. Null: nothing is. */
  #unread: { after: Seq; readonly through: Seq } | null;
  /**
   * Added in the present transaction, each at its seq's distance from the first: not all are rows yet, and all go if it is
   * rolled back.
   */
  #fresh: (Entry | null)[] = [];
  #freshFrom: Seq = 0;
  /** Removed in the present transaction: leave the table once it is committed. */
  #gone: Row[] = [];
  #goneEarly = 0;
  /** The shortest time that any id is to be remembered, of those seen so far. */
  #shortest = Number.POSITIVE_INFINITY;
  /** What lies at or below it was looked at by the sweep that began then, and is to be remembered longer. */
  #swept: Seq = NOTHING;
  #sweptFrom = 0;

  constructor(storage: Storage, limit: number, seed: number) {
    this.#limit = limit;
    this.#insert = new BatchInsert(storage, "dedupe", COLUMNS);
    this.#select = storage.prepare(
      "SELECT source, id, time, body_length, body_crc FROM dedupe WHERE seq = ?",
    );
    this.#behind = storage.prepare(
      "SELECT seq, source, id, time, until FROM dedupe WHERE seq > ? ORDER BY seq LIMIT ?",
    );
    this.#remove = storage.prepare("DELETE FROM dedupe WHERE seq BETWEEN ? AND ?");
    this.#page = storage.prepareLists(
      "SELECT seq, source, id FROM dedupe WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    );
    const { first, last } =
      storage.prepare("SELECT min(seq) AS first, max(seq) AS last FROM dedupe").get() ?? {};
    const [after, through] = [Number(first ?? 0) - 1, Number(last ?? -1)];
    this.#unread = through > after ? { after, through } : null;
    // Not every event has an id to remember, but counting those that have would mean to read them all.
    this.#table = new DedupeTable(seed, Math.min(limit, through - after));
  }

  /** Reads some of what is still to be read, in less than a few ms; false: nothing is. */
  load(): boolean {
    if (this.#unread === null) return false;
    const { after, through } = this.#unread;
    const rows = this.#page.all(after, through, PAGE);
    for (const [seq, source, id] of rows) {
      this.#table.add(this.#table.hash(Number(source), String(id)), Number(seq));
    }
    const last = rows.at(-1)?.[0];
    this.#unread = last === undefined || Number(last) >= through ? null : { after: Number(last), through };
    return this.#unread !== null;
  }

  /** Ids remembered, as far as they are read. */
  get size(): number {
    return this.#table.size;
  }

  limit(ids: number): void {
    this.#limit = ids;
  }

  hash(source: number, id: string): number {
    return this.#table.hash(source, id);
  }

  /** The event that had this id within the window, or null. `newest` is the last seq given out, committed or not. */
  find(hash: number, source: number, id: string, since: number, newest: Seq): Original | null {
    const found = this.#find(hash, source, id, since, newest);
    if (found !== null || this.#unread === null) return found;
    while (this.load());
    return this.#find(hash, source, id, since, newest);
  }

  #find(hash: number, source: number, id: string, since: number, newest: Seq): Original | null {
    const table = this.#table;
    for (let slot = table.first(hash); slot !== -1; slot = table.next(slot, hash)) {
      const seq = table.seqAt(slot, newest);
      const fresh = (seq < this.#freshFrom ? null : this.#fresh[seq - this.#freshFrom]) ?? null;
      if (fresh !== null) {
        if (fresh.source === source && fresh.id === id) return fresh;
        continue;
      }
      const row = this.#select.get(seq);
      if (row === undefined || row.source !== source || row.id !== id) continue;
      if (Number(row.time) < since) continue;
      return { seq, length: Number(row.body_length), crc: Number(row.body_crc) };
    }
    return null;
  }

  /** Remembers an event that is being appended. */
  add(entry: Entry, time: number, until: number): void {
    const { hash, seq, source, id, length, crc } = entry;
    const insert = this.#insert;
    insert.put(seq);
    insert.put(source);
    insert.put(id);
    insert.put(time);
    insert.put(until);
    insert.put(length);
    insert.put(crc);
    insert.rowEnds();
    if (this.#fresh.length === 0) this.#freshFrom = seq;
    while (this.#fresh.length < seq - this.#freshFrom) this.#fresh.push(null);
    this.#fresh.push(entry);
    this.#table.add(hash, seq);
    this.#shortest = Math.min(this.#shortest, until - time);
  }

  /** Writes what `add` still holds back. */
  flush(): void {
    this.#insert.flush();
  }

  /**
   * Forgets some of those that are past their time (`now` null: the clock isn't trusted), and the oldest of those that are
   * more than the limit. Returns how many it has looked at, at most `max`; 0: there is nothing more to forget.
   */
  forget(max: number, now: number | null): number {
    const tooMany = this.#table.size - this.#gone.length - this.#limit;
    if (tooMany > 0) return this.#evict(Math.min(max, tooMany), now);
    return now === null ? 0 : this.#sweep(max, now);
  }

  #evict(count: number, now: number | null): number {
    const rows = this.#behind.all(NOTHING, count);
    this.#goneEarly += rows.filter(({ until }) => now === null || Number(until) >= now).length;
    this.#let(rows);
    return rows.length;
  }

  /**
   * One page of those behind the last. What isn't past its time is passed over, since ids of a source that remembers less
   * long may lie behind it; the first that is younger than the shortest time ends the sweep: none behind it is past.
   */
  #sweep(max: number, now: number): number {
    if (now - this.#sweptFrom > SWEEP_MS || now < this.#sweptFrom) {
      this.#swept = NOTHING;
      this.#sweptFrom = now;
    }
    let looked = 0;
    let past: Row[] = [];
    for (const row of this.#behind.all(this.#swept, max)) {
      const [time, until] = [Number(row.time), Number(row.until)];
      this.#shortest = Math.min(this.#shortest, until - time);
      if (until < now) past.push(row);
      else if (time + this.#shortest >= now) break;
      else {
        this.#let(past);
        past = [];
      }
      this.#swept = Number(row.seq);
      looked++;
    }
    this.#let(past);
    return looked;
  }

  /** These go, with which no other lies. */
  #let(rows: readonly Row[]): void {
    const [first, last] = [rows[0]?.seq, rows.at(-1)?.seq];
    if (first === undefined || last === undefined) return;
    this.#remove.run(first, last);
    this.#gone = this.#gone.concat(rows);
  }

  committed(): void {
    this.#fresh = [];
    if (this.#gone.length === 0) return;
    for (const { seq, source, id } of this.#gone) {
      this.#table.remove(this.#table.hash(Number(source), String(id)), Number(seq));
    }
    this.#gone = [];
    this.evictedEarly += this.#goneEarly;
    this.#goneEarly = 0;
  }

  /** One append was undone within the transaction: forgets what was added behind `seq`. */
  dropAfter(seq: Seq): void {
    this.#insert.clear();
    while (this.#fresh.length > 0 && this.#freshFrom + this.#fresh.length - 1 > seq) {
      const entry = this.#fresh.pop() ?? null;
      if (entry !== null) this.#table.remove(entry.hash, entry.seq);
    }
  }

  rolledBack(): void {
    for (const entry of this.#fresh) if (entry !== null) this.#table.remove(entry.hash, entry.seq);
    this.#fresh = [];
    this.#insert.clear();
    if (this.#gone.length > 0) this.#swept = NOTHING;
    this.#gone = [];
    this.#goneEarly = 0;
  }
}
