/** One group while it is gathered and while it is away: the waiting appends, and what settles with them. */
import type { Appended } from "../../component.ts";
import type { NewEvent } from "../../event.ts";
import type { Memory } from "./arena.ts";
import type { DeltaSource, TakenDelta } from "./delta.ts";
import { EventPacker } from "./packed-events.ts";

export interface Settling {
  readonly source: DeltaSource;
  readonly taken: TakenDelta;
}

export class Batch {
  readonly packer: EventPacker;
  /** How many of the packed events are appends that somebody waits for; behind them come what deltas raise. */
  appends = 0;
  /** What the appends count for in `uncommitted`. */
  bytes = 0;
  settling: Settling[] = [];
  readonly #resolve: ((appended: Appended) => void)[] = [];
  readonly #reject: ((error: Error) => void)[] = [];
  readonly #ids: string[] = [];
  /** Monotonic times at which the appends came. */
  readonly #since: number[] = [];
  /** Appends below it were told that it takes too long. */
  #late = 0;

  constructor(memory: Memory) {
    this.packer = new EventPacker(memory);
  }

  /** Packs the event at once: nothing of the caller's memory is kept. */
  append(event: NewEvent, dedupeMs: number | null, now: number): Promise<Appended> {
    this.packer.add(event, 0, dedupeMs);
    this.appends++;
    this.bytes += event.body.byteLength + event.headers.byteLength;
    this.#ids.push(event.id);
    this.#since.push(now);
    return new Promise<Appended>((resolve, reject) => {
      this.#resolve.push(resolve);
      this.#reject.push(reject);
    });
  }

  resolve(index: number, seq: number, duplicate: boolean, differs: boolean): void {
    this.#resolve[index]!({ seq, id: this.#ids[index]!, duplicate, differs });
  }

  reject(index: number, error: Error): void {
    this.#reject[index]!(error);
  }

  rejectAll(error: Error): void {
    for (const reject of this.#reject) reject(error);
  }

  /** Rejects those that came before `time`; says when the next one is due, or null when none waits. */
  rejectOlderThan(time: number, error: () => Error): number | null {
    while (this.#late < this.appends && this.#since[this.#late]! <= time)
      this.#reject[this.#late++]!(error());
    return this.#late < this.appends ? this.#since[this.#late]! : null;
  }
}
