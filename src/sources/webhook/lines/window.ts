/**
 * The lines of one stream that are on their way to disk: how far they have come, and whether more may go. So that a
 * stream is as fast as the group commits are, and holds no more memory than this.
 */
import type { Appended } from "../../../component.ts";

const MAX_LINES = 1024;
/** Of bodies and headers together. */
const MAX_BYTES = 1024 * 1024;

/** Numbers of lines that an answer names; the others are counted. */
const NAMED = 100;

/** What an answer and a stream's last event say of its lines. */
export interface LineReport {
  /** All lines up to this one are on disk, or kept as refused: a repeat may begin after it. */
  readonly last: number;
  /** New events. */
  readonly accepted: number;
  /** Lines that were there from an earlier request of this id. */
  readonly duplicates?: number;
  /** Duplicates whose text isn't the first one's, which stays. */
  readonly differs?: number;
  readonly refused?: { readonly count: number; readonly lines: readonly number[] };
}

interface Pending {
  readonly bytes: number;
  state: "pending" | "settled" | "lost";
}

export class LineWindow {
  readonly #pending: Pending[] = [];
  readonly #refusedLines: number[] = [];
  readonly #onProgress: () => void;
  #last: number;
  #bytes = 0;
  #underWay = 0;
  #accepted = 0;
  #duplicates = 0;
  #differs = 0;
  #refused = 0;
  #broken = false;
  #seq: number | null = null;
  #defect: unknown = null;
  #waiting: (() => void) | null = null;

  /** `after`: the number before the first line's. `onProgress` is called for every line that is settled. */
  constructor(after: number, onProgress: () => void) {
    this.#last = after;
    this.#onProgress = onProgress;
  }

  get hasRoom(): boolean {
    return this.#underWay < MAX_LINES && this.#bytes < MAX_BYTES;
  }

  get isEmpty(): boolean {
    return this.#underWay === 0;
  }

  get refused(): number {
    return this.#refused;
  }

  /** The seq of the last line, as far as they have come; null while there is none. */
  get seq(): number | null {
    return this.#seq;
  }

  /** A line will not get to disk: none after it may go, or the order would be lost. */
  get isBroken(): boolean {
    return this.#broken;
  }

  /** What isn't the journal's no but a mistake of ours; null: nothing. */
  get defect(): unknown {
    return this.#defect;
  }

  /** The next line: `taken` resolves once it is on disk, with null where it was kept as refused. */
  add(
    line: number,
    bytes: number,
    taken: Promise<Appended | null>,
    isDefect: (error: unknown) => boolean,
  ): void {
    const pending: Pending = { bytes, state: "pending" };
    this.#pending.push(pending);
    this.#underWay++;
    this.#bytes += bytes;
    taken.then(
      (appended) => this.#settle(pending, line, appended),
      (error: unknown) => {
        if (isDefect(error)) this.#defect ??= error;
        pending.state = "lost";
        this.#broken = true;
        this.#progress(pending);
      },
    );
  }

  /** Resolves when something has become of a line, or `wake` is called. One waits at a time. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }

  /** Resolves when nothing is under way any more. */
  async drained(): Promise<void> {
    while (this.#underWay > 0) await this.change();
  }

  report(): LineReport {
    return {
      last: this.#last,
      accepted: this.#accepted,
      ...(this.#duplicates > 0 ? { duplicates: this.#duplicates } : {}),
      ...(this.#differs > 0 ? { differs: this.#differs } : {}),
      ...(this.#refused > 0 ? { refused: { count: this.#refused, lines: this.#refusedLines } } : {}),
    };
  }

  #settle(pending: Pending, line: number, appended: Appended | null): void {
    pending.state = "settled";
    if (appended === null) {
      this.#refused++;
      if (this.#refusedLines.length < NAMED) this.#refusedLines.push(line);
    } else {
      this.#seq = Math.max(this.#seq ?? 0, appended.seq);
      if (appended.duplicate) this.#duplicates++;
      else this.#accepted++;
      if (appended.differs) this.#differs++;
    }
    this.#progress(pending);
    this.#onProgress();
  }

  #progress({ bytes }: Pending): void {
    this.#underWay--;
    this.#bytes -= bytes;
    let settled = 0;
    while (this.#pending[settled]?.state === "settled") settled++;
    this.#pending.splice(0, settled);
    this.#last += settled;
    this.wake();
  }
}
