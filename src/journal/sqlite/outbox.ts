/**
 * What one subscription has for the next commit: what it settled, and its cursor. The cursor alone is worth a commit only
 * once it is far ahead of the one on disk, or when it is asked for.
 */
import type { Seq } from "../../event.ts";
import type { TakenDelta } from "./delta.ts";
import { DeltaBuilder, type Gathered } from "./delta-builder.ts";
import type { Unsettled } from "./unsettled.ts";

/** Settlements that may wait for their commit before no new delivery starts. */
const MAX_UNCOMMITTED = 20_000;
/** How far the cursor on disk may lag behind events that nobody owes. */
const LAZY_CURSOR = 1024;

export interface OutboxHost {
  readonly unsettled: Unsettled;
  /** The next seq to be read. */
  next(): Seq;
  /** Tells the committer that there is something. */
  dirty(): void;
}

export class Outbox {
  /** What gathers for the next delta. */
  gathering = new DeltaBuilder();
  /** Why nothing is committed any more. */
  lost: Error | null = null;
  readonly #id: number;
  readonly #host: OutboxHost;
  #uncommitted = 0;
  /** The cursor of the last delta taken. */
  #written: Seq;
  #flush = false;
  #dirty = false;

  constructor(id: number, written: Seq, host: OutboxHost) {
    this.#id = id;
    this.#written = written;
    this.#host = host;
  }

  /** No more may be leased until what waits is committed. */
  get full(): boolean {
    return this.#uncommitted >= MAX_UNCOMMITTED;
  }

  /** There is something for the next commit. */
  changed(): void {
    if (this.#dirty || this.lost !== null) return;
    this.#dirty = true;
    this.#host.dirty();
  }

  /** A lease was ended by a settlement. */
  settled(): Promise<void> {
    this.gathering.settlements++;
    this.#uncommitted++;
    this.changed();
    return this.gathering.promise;
  }

  /** Events were passed over. */
  passed(): void {
    if (this.#cursor() - this.#written >= LAZY_CURSOR) this.changed();
  }

  /** Wants the cursor written though it has passed nothing that was owed. */
  flush(): void {
    if (this.#cursor() <= this.#written) return;
    this.#flush = true;
    this.changed();
  }

  /** It goes on from here, which may be behind what was written. */
  goOnAt(cursor: Seq): void {
    this.#written = Math.min(this.#written, cursor);
  }

  take(): Gathered | null {
    this.#dirty = false;
    const { gathering } = this;
    const cursor = this.#host.unsettled.advance(gathering, this.#host.next());
    const far = this.#flush ? 1 : LAZY_CURSOR;
    if (!gathering.some && cursor - this.#written < far) return null;
    this.#flush = false;
    this.#written = Math.max(cursor, this.#written);
    this.gathering = new DeltaBuilder();
    return gathering.build(this.#id, this.#written);
  }

  restore(taken: TakenDelta): void {
    this.gathering.prepend(gathered(taken));
  }

  /** It is on disk: returns what is to be done now. */
  committed(taken: TakenDelta): Gathered {
    const done = gathered(taken);
    this.#uncommitted -= done.settlements;
    return done;
  }

  fail(taken: TakenDelta | null, error: Error): void {
    this.lost = error;
    if (taken !== null) for (const { reject } of gathered(taken).waiting) reject(error);
    this.gathering.fail(error);
  }

  #cursor(): Seq {
    return this.#host.unsettled.cursor(this.#host.next());
  }
}

function gathered(taken: TakenDelta): Gathered {
  if (!("retries" in taken && "waiting" in taken)) throw new Error("not a delta of a subscription");
  return taken as Gathered;
}
