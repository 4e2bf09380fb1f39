/**
 * Makes a stream's index whole before its worker goes on: what its subscription was handed before and the index hasn't
 * got (the file was lost, or put back from a copy) is read again from the journal, prepared by the routes as they are now
 * (J8), and written in seq order. Nothing is leased, settled, counted or handed to readers; those who left off
 * further back than the index has got wait for it, page by page.
 *
 * The index's place moves along with what is written, so that a rebuild that was stopped goes on from there. Where
 * nothing was lost live delivery waits for no write: the disk may be full.
 */
import type { StreamFrame } from "../component.ts";
import type { Seq } from "../event.ts";
import type { Reread, StreamIndex, Subscription } from "../journal/journal.ts";
import { frameOf, prepareRoutes } from "./frames.ts";
import type { StreamTarget } from "./target.ts";
import type { WorkerTools } from "./worker.ts";

/** Preparing holds up everything else at most so long at a time. */
const STRETCH_MS = 5;
/** How often people are told how far it has come. */
const TELL_MS = 10_000;
/** After the journal could not be read, or the index not be written. */
const AGAIN_MS = 1000;

interface Entry {
  readonly stream: string;
  readonly seq: Seq;
  readonly frames: readonly StreamFrame[];
}

export class StreamRebuild {
  readonly #subscription: Subscription;
  readonly #target: () => StreamTarget;
  readonly #index: StreamIndex;
  readonly #tools: WorkerTools;
  #stopped = false;
  #wake: () => void = () => {};
  /** Events whose frames were written again. */
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
  }

  /** Resolves once the index has all up to what the subscription's cursor is now, or after `stop`. Never rejects. */
  async run(): Promise<void> {
    const end = this.#subscription.cursor();
    while (!this.#stopped) {
      try {
        return await this.#goOn(end);
      } catch (err) {
        if (this.#stopped) return;
        const { stream } = this.#target();
        this.#tools.log.warn({ err, stream, retry_ms: AGAIN_MS }, "a stream's index can't be rebuilt now");
        await this.#pause();
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async #goOn(end: Seq): Promise<void> {
    const { stream, historyMs } = this.#target();
    const { newest } = await this.#index.bounds(stream);
    // Of what it has a place for, whatever is missing is wanted; retention of streams removes what is too old.
    const lost = newest === 0 && historyMs !== undefined;
    const since = lost ? this.#tools.clock.wall() - historyMs : 0;
    for (let at = newest; at < end && !this.#stopped; ) {
      const page = await this.#subscription.reread(at, since);
      if (page.from > at) await this.#beginAt(page.from, newest > 0);
      at = Math.min(page.through, end);
      const entries = await this.#entries(page, at);
      const place = { stream, seq: at, frames: [] };
      // An entry without frames would replace what the same seq has.
      if (entries.length > 0) {
        await this.#index.write(entries.at(-1)?.seq === at ? entries : [...entries, place]);
      } else if (at === end) this.#index.write([place]).catch(() => {});
      this.#tell(at, end);
    }
    if (this.#written > 0) this.#log("stream index rebuilt", { through: end });
  }

  /** What comes before is gone, also from the journal: readers from there are told so, and don't get a part of it. */
  async #beginAt(from: Seq, had: boolean): Promise<void> {
    const { stream } = this.#target();
    await this.#index.write([{ stream, seq: from, frames: [] }]);
    await this.#index.retain(stream, Number.MAX_SAFE_INTEGER);
    if (had) this.#log("stream index has a hole that the journal can't fill", { from });
  }

  async #entries({ deliveries }: Reread, through: Seq): Promise<Entry[]> {
    const { stream } = this.#target();
    const entries: Entry[] = [];
    let begun = this.#tools.clock.monotonic();
    for (const delivery of deliveries) {
      if (delivery.event.seq > through) break;
      const frames = await this.#frames(delivery);
      if (frames.length > 0) entries.push({ stream, seq: delivery.event.seq, frames });
      if (this.#tools.clock.monotonic() - begun < STRETCH_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      begun = this.#tools.clock.monotonic();
    }
    this.#written += entries.length;
    return entries;
  }

  async #frames(delivery: Reread["deliveries"][number]): Promise<StreamFrame[]> {
    const target = this.#target();
    return (await Promise.all(prepareRoutes(delivery, target))).flatMap((each) => {
      const made = each.result === "filtered" ? null : frameOf(delivery.event, each, target);
      return made === null || "error" in made ? [] : [made];
    });
  }

  #tell(at: Seq, end: Seq): void {
    const now = this.#tools.clock.monotonic();
    if (now - this.#toldAt < TELL_MS) return;
    this.#toldAt = now;
    this.#log("stream index is being rebuilt", { at, end });
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
