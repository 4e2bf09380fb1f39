/**
 * What readers are given within one turn of the event loop goes out in one write each: the more there is to do the more
 * comes together, and a write costs most of what a message does. While messages come singly, and seldom enough, each is
 * written at once: the turn's end would find a thousand readers gone from the processor's caches.
 *
 * Most readers are given the same messages in the same order: they share a `Run`, and the bytes that are made of it.
 */
import type { Clock } from "../../ports.ts";
import { type Prefetched, prefetching } from "./prefetch.ts";

/** Messages in order, as they will be written: a path in a tree whose root is the turn's beginning. */
export class Run {
  /** In bytes. */
  readonly size: number;
  readonly #before: Run | null;
  readonly #chunk: Buffer | null;
  /** What came next, for most of those who have come here: the others' are in `#others`. */
  #next: Run | null = null;
  #others: Map<Buffer, Run> | null = null;
  #bytes: Buffer | null = null;

  constructor(before: Run | null = null, chunk: Buffer | null = null) {
    this.size = (before?.size ?? 0) + (chunk?.byteLength ?? 0);
    this.#before = before;
    this.#chunk = chunk;
  }

  /** This, and then `chunk`: one and the same for all who are given the same chunk (the same object) here. */
  with(chunk: Buffer): Run {
    if (this.#next === null) return (this.#next = new Run(this, chunk));
    if (this.#next.#chunk === chunk) return this.#next;
    this.#others ??= new Map();
    let next = this.#others.get(chunk);
    if (next === undefined) this.#others.set(chunk, (next = new Run(this, chunk)));
    return next;
  }

  bytes(): Buffer {
    return (this.#bytes ??= this.#gathered());
  }

  #gathered(): Buffer {
    const chunks: Buffer[] = [];
    for (let run: Run | null = this; run !== null; run = run.#before) if (run.#chunk) chunks.push(run.#chunk);
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks.reverse(), this.size);
  }
}

/** One who has something to write at the end of this turn. */
export interface Due extends Prefetched {
  flush(): void;
}

/** Quiet is who has rested for such a part of the time that the last turn took: else much comes, if one by one. */
const REST = 0.1;

export class Turn {
  readonly #clock: Clock;
  #start = new Run();
  #due: Due[] = [];
  #messages = 0;
  /** The last turn that had any had several: there will be more in this one. */
  #crowded = false;
  #quiet = true;
  /** Of the last turn that had any: when it ended, and how long that took it. Monotonic, ms. */
  #ended = Number.NEGATIVE_INFINITY;
  #took = 0;
  #began = 0;
  #latest: object | null = null;
  #latestSingle = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Where this turn's runs begin. */
  get start(): Run {
    return this.#start;
  }

  /** Whether `message`, being given to one reader after another, is to be written at once. */
  single(message: object): boolean {
    if (message === this.#latest) return this.#latestSingle;
    if (this.#messages++ === 0) this.#begin();
    this.#latest = message;
    this.#latestSingle = this.#messages === 1 && this.#quiet && !this.#crowded;
    return this.#latestSingle;
  }

  /** `one` is flushed at the turn's end; to be said once a turn, of a message that isn't `single`. */
  add(one: Due): void {
    this.#due.push(one);
  }

  #begin(): void {
    this.#began = this.#clock.monotonic();
    this.#quiet = this.#began - this.#ended >= this.#took * REST;
    setImmediate(this.#end);
  }

  readonly #end = () => {
    const due = this.#due;
    this.#due = [];
    this.#start = new Run();
    this.#crowded = this.#messages > 1;
    this.#messages = 0;
    this.#latest = null;
    prefetching(due, (one) => one.flush());
    this.#ended = this.#clock.monotonic();
    this.#took = this.#ended - this.#began;
  };
}
