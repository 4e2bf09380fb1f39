/**
 * Makes a stream's index whole beside its worker: what its subscription was handed before and the index hasn't got
 * (the file was lost, damaged, or put back from a copy), and the past that a route brings with its `start`. It is read
 * again from the journal, prepared by the routes as they are now (J8), and written in seq order. Nothing of it is leased,
 * settled, counted or handed to readers; those who left off where it is missing wait for it, page by page.
 *
 * What it has got to is kept with the index's place and with the subscription, so that it goes on from there after a
 * restart. It keeps to what is settled: what isn't, its own lease writes.
 */
import { keepsPublished, type StreamFrame } from "../component.ts";
import type { Seq } from "../event.ts";
import type { Reread, StreamIndex, Subscription, Unindexed } from "../journal/journal.ts";
import { frameOf, prepareRoutes } from "./frames.ts";
import type { StreamTarget } from "./target.ts";
import type { WorkerTools } from "./worker.ts";

/** Preparing holds up everything else at most so long at a time. */
const STRETCH_MS = 5;
/** How often people are told how far it has come. */
const TELL_MS = 10_000;
/** After the journal could not be read, or the index not be written; and until more is settled. */
const AGAIN_MS = 1000;

interface Entry {
  readonly stream: string;
  readonly seq: Seq;
  readonly frames: readonly StreamFrame[];
}

export class StreamFill {
  readonly #subscription: Subscription;
  readonly #target: () => StreamTarget;
  readonly #index: StreamIndex;
  readonly #tools: WorkerTools;
  readonly #stopListening: () => void;
  #declared: Promise<unknown> = Promise.resolve();
  #running = false;
  #stopped = false;
  #wake: () => void = () => {};
  /** Events whose frames were written. */
  #written = 0;
  #toldAt: number;

  /** `target` is asked for each page: a reload's routes hold from the next one on. */
  constructor(
    subscription: Subscription,
    target: () => StreamTarget,
    index: StreamIndex,
    tools: WorkerTools,
  ) {
    this.#subscription = subscription;
    this.#target = target;
    this.#index = index;
    this.#tools = tools;
    this.#toldAt = tools.clock.monotonic();
    this.#stopListening = index.onLost(() => this.look());
  }

  /**
   * Says what is missing of what was settled; to be called before anything newer is written. Live delivery needn't wait
   * for it: what it writes comes behind. `formerly`: the stream's name up to now, whose index it takes over.
   */
  declare(formerly: string | null): void {
    const { stream } = this.#target();
    const said: Promise<void>[] = [];
    if (formerly !== null) said.push(this.#index.rename(formerly, stream));
    const end = this.#subscription.cursor();
    if (end > 0) said.push(this.#index.owe(stream, end));
    said.push(this.#index.reach(stream, end));
    // Only the index's end rejects it.
    this.#declared = Promise.all(said).catch(() => {});
    this.look();
  }

  /** There may be something to fill: at the start, after a reload, when the index has lost what it had. */
  look(): void {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#stopListening();
    this.#wake();
  }

  async #run(): Promise<void> {
    await this.#declared;
    while (!this.#stopped) {
      const { stream } = this.#target();
      try {
        const went = await this.#page();
        if (went === null) break;
        if (!went) await this.#pause();
      } catch (err) {
        if (this.#stopped) break;
        this.#tools.log.warn({ err, stream, retry_ms: AGAIN_MS }, "a stream's index can't be filled now");
        await this.#pause();
      }
    }
    if (this.#written > 0 && !this.#stopped) this.#log("stream index filled from the journal", {});
    this.#written = 0;
    this.#running = false;
  }

  /** One page; false: nothing could be done now. Null: nothing is left to do. */
  async #page(): Promise<boolean | null> {
    const target = this.#target();
    const place = this.#index.places().get(target.stream);
    const missing = place?.missing ?? null;
    const joined = this.#subscription.unindexed([...target.routes.keys()]);
    if (missing === null && joined === null) return null;
    const after = Math.min(...[missing, joined].flatMap((part) => part?.after ?? []));
    const wanted = Math.max(...[missing, joined].flatMap((part) => part?.through ?? []));
    const end = Math.min(wanted, this.#subscription.cursor());
    if (after >= end) return false;

    // Of what it has a place for, whatever is missing is wanted; retention of streams removes what is too old.
    const oldest = place?.oldest ?? 0;
    const page = await this.#subscription.reread(
      after,
      oldest > 0 && after >= oldest ? 0 : since(target, this.#tools),
    );
    const through = Math.min(page.through, end);
    if (missing !== null && page.from > missing.after) await this.#beginAt(page.from, oldest > 0);
    else if (joined !== null && page.from < oldest) await this.#index.lack(target.stream, page.from, oldest);
    await this.#write(target, page, after, through);
    if (joined !== null) this.#remember(joined, through, target);
    this.#tell(through, wanted);
    return through > after;
  }

  /** What comes before is gone, also from the journal: readers from there are told so, and don't get a part of it. */
  async #beginAt(from: Seq, had: boolean): Promise<void> {
    await this.#index.begin(this.#target().stream, from);
    if (had) this.#log("stream index has a hole that the journal can't fill", { from });
  }

  async #write(target: StreamTarget, page: Reread, after: Seq, through: Seq): Promise<void> {
    const entries = await this.#entries(target, page, through);
    await this.#index.fill(entries, { stream: target.stream, after, through });
  }

  /** Only once it is written: after a crash in between the page is written again, and replaces itself. */
  #remember({ routes, after, through: end }: Unindexed, through: Seq, { sink }: StreamTarget): void {
    if (through <= after) return;
    this.#subscription.indexed(routes, through);
    if (through >= end && keepsPublished(sink)) sink.forgetPublished();
  }

  async #entries(target: StreamTarget, { deliveries }: Reread, through: Seq): Promise<Entry[]> {
    const { stream } = target;
    const entries: Entry[] = [];
    let begun = this.#tools.clock.monotonic();
    for (const delivery of deliveries) {
      if (delivery.event.seq > through) break;
      const frames = await framesOf(delivery, target);
      if (frames.length > 0) entries.push({ stream, seq: delivery.event.seq, frames });
      if (this.#tools.clock.monotonic() - begun < STRETCH_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      begun = this.#tools.clock.monotonic();
    }
    this.#written += entries.length;
    return entries;
  }

  #tell(at: Seq, end: Seq): void {
    const now = this.#tools.clock.monotonic();
    if (now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.#log("stream index is being filled", { at, end });
  }

  #log(message: string, fields: object): void {
    const { stream } = this.#target();
    this.#tools.log.info({ stream, events: this.#written, ...fields }, message);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#tools.clock.after(AGAIN_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** The accept time from which on its index keeps frames. */
function since({ historyMs }: StreamTarget, { clock }: WorkerTools): number {
  return historyMs === undefined ? 0 : clock.wall() - historyMs;
}

async function framesOf(
  delivery: Reread["deliveries"][number],
  target: StreamTarget,
): Promise<StreamFrame[]> {
  return (await Promise.all(prepareRoutes(delivery, target))).flatMap((each) => {
    const made = each.result === "filtered" ? null : frameOf(delivery.event, each, target);
    return made === null || "error" in made ? [] : [made];
  });
}
