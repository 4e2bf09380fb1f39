/**
 * The loop of one stream: its events in seq order, each through all routes that name the stream.
 *
 * Preparing runs ahead and may await; publishing goes strictly by seq, so that a reader who has seen n has everything
 * up to n. What was published is written to the index in batches (one write at a time, holding all that gathered
 * meanwhile; what comes singly waits a little for what follows, so that there is less than one write and one commit of
 * its settlement for each), and a lease is settled only when its write is durable: after a crash in between the event is
 * published and written again, and the write replaces itself.
 *
 * What expired, or a person purged, is published to nobody: readers and the index are told of the lapse in its place among
 * what is published, so that nobody takes what comes behind it for what comes next.
 *
 * An index that lacks something of what was settled is made whole beside it (stream-fill.ts).
 */
import type { Seq } from "../event.ts";
import type { Lease, Settlement, StreamIndex, Subscription } from "../journal/journal.ts";
import type { Prepared } from "../prepared.ts";
import { Flights } from "./flights.ts";
import { prepareRoutes, type Rendered, renderFrames } from "./frames.ts";
import { StreamFill } from "./stream-fill.ts";
import { StreamSinks } from "./stream-sinks.ts";
import { writeFlights } from "./stream-writes.ts";
import type { StreamTarget } from "./target.ts";
import { PREPARE_AGAIN_MS } from "./unprepared.ts";
import type { WorkerTools } from "./worker.ts";

/** A lease on its way; `rendered` is null while a route still awaits something. */
interface Flight {
  readonly lease: Lease;
  readonly target: StreamTarget;
  rendered: Rendered | null;
  /** What lies up to here, above what was published before, lapsed; 0: nothing did. */
  lapsed: Seq;
  place: number;
}

/** Leased at a time at most; halved while a batch keeps the event loop for longer than the stretch. */
const BATCH = 64;
const STRETCH_MS = 5;
/**
 * While nothing else is owed, what was published waits so long to be written, or until there is so much of it: the next
 * event goes with it. The feed's ring has it meanwhile.
 */
const GATHER = { ms: 250, events: 16 };
/** After an index write failed: the first wait, doubling up to the last. */
const INDEX_RETRY_MS = { first: 500, most: 30_000 };
/** How often the index of a quiet stream learns how far the journal has come without an event for it. */
const FOLLOW_MS = 60_000;

/** Another worker's place, to be taken once that has ended. */
export interface Succession {
  /** The stream's name until then, where it had another. */
  readonly name: string | null;
  readonly after: Promise<void>;
  /** That worker's. */
  readonly sinks: StreamSinks | null;
}

export class StreamWorker {
  readonly subscription: Subscription;
  readonly sinks: StreamSinks;
  readonly #index: StreamIndex;
  readonly #tools: WorkerTools;
  #target: StreamTarget;
  #retired = false;
  #aborted = false;
  #fillSoon = false;
  /** As far as readers were told of it. */
  #lapsed: Seq = 0;
  #batch = BATCH;
  readonly #flights = new Flights<Flight>();
  /** Not yet published, in seq order. */
  readonly #queue: Flight[] = [];
  /** Published, not yet in the index. */
  #gathered: Flight[] = [];
  /** Ends the wait for more to gather; null: there is none. */
  #endGathering: (() => void) | null = null;
  /** What it was handed up to here is in the index, or is for `#filling`. */
  #written: Seq = 0;
  #writing = false;
  readonly #filling: StreamFill;
  #stopFollowing: () => void = () => {};

  constructor(
    subscription: Subscription,
    target: StreamTarget,
    index: StreamIndex,
    tools: WorkerTools,
    takesOver: Succession | null = null,
  ) {
    this.subscription = subscription;
    this.#target = target;
    this.#index = index;
    this.#tools = tools;
    this.#filling = new StreamFill(subscription, () => this.#target, index, tools);
    this.sinks = takesOver?.sinks ?? new StreamSinks((err, seq) => this.#unpublished(err, seq));
    this.sinks.add(target.sink);
    if (takesOver === null) this.#begin(null);
    else void takesOver.after.then(() => this.#begin(takesOver.name));
  }

  #begin(formerly: string | null): void {
    if (this.#retired) return;
    this.#written = this.subscription.cursor();
    this.sinks.begin(this.#written);
    this.#filling.declare(formerly);
    this.subscription.onReady(() => this.#fill());
    this.#fill();
    this.#follow();
  }

  /**
   * Moves the index's place past what isn't for the stream, so that after a restart nothing but what was lost is looked
   * for, and what the journal's retention removed meanwhile isn't taken for lost.
   */
  #follow(): void {
    this.#stopFollowing = this.#tools.clock.after(FOLLOW_MS, () => {
      this.#follow();
      void this.#keepPlace();
    });
  }

  async #keepPlace(): Promise<void> {
    const { subscription } = this;
    const seq = subscription.cursor();
    // Nothing unsettled: all up to the cursor is in the index.
    if (subscription.lag() !== null) return;
    this.#lapseAll();
    const { stream } = this.#target;
    if (seq <= (await this.#index.bounds(stream)).newest) return;
    // Only the index's end rejects it.
    await this.#index.write([{ stream, seq, frames: [] }]).catch(() => {});
  }

  /** Events leased from now on go by `target`. Resolves when those before it have ended. */
  swap(target: StreamTarget): Promise<void> {
    const old = this.#target;
    this.#target = target;
    this.sinks.add(target.sink);
    this.#filling.look();
    this.#write();
    return this.#flights.none((flight) => flight.target === old);
  }

  /** Leases nothing more. Resolves when what was leased has ended. */
  retire(): Promise<void> {
    this.#retired = true;
    this.subscription.onReady(null);
    this.#stopFollowing();
    this.#filling.stop();
    this.#write();
    return this.#flights.none(() => true);
  }

  /** Hands back what isn't settled; it will be leased again. */
  abort(): void {
    this.#aborted = true;
    this.#queue.length = 0;
    this.#gathered = [];
    this.#endGathering?.();
    for (const flight of this.#flights) {
      this.subscription.release(flight.lease);
      this.#flights.landed(flight);
    }
  }

  // ------------------------------------------------------------------------------------------------------ rendering

  #fill(): void {
    if (this.#retired || this.#fillSoon) return;
    const begun = this.#tools.clock.monotonic();
    const leases = this.subscription.lease(this.#batch);
    for (const lease of leases) {
      const flight: Flight = { lease, target: this.#target, rendered: null, lapsed: 0, place: -1 };
      this.#flights.add(flight);
      this.#queue.push(flight);
      this.#render(flight);
    }
    this.#publish();
    // Also where nothing could be leased: what has come may wait for what was gathered.
    this.#gather();
    this.#lapseAll();
    if (leases.length === 0) return;
    const slow = this.#tools.clock.monotonic() - begun > STRETCH_MS;
    this.#batch = slow ? Math.max(1, this.#batch >> 1) : Math.min(BATCH, this.#batch * 2);
    this.#fillSoon = true;
    setImmediate(() => {
      this.#fillSoon = false;
      this.#fill();
    });
  }

  /** Prepares the event for each route; without a promise where no route needs one. */
  #render(flight: Flight): void {
    const prepared = prepareRoutes(flight.lease, flight.target);
    if (prepared.every((each) => !(each instanceof Promise))) {
      flight.rendered = renderFrames(flight, prepared as Prepared[], this.#tools);
      return;
    }
    Promise.all(prepared).then(
      (all) => {
        flight.rendered = renderFrames(flight, all, this.#tools);
        this.#publish();
      },
      () => this.#renderLater(flight),
    );
  }

  /** Those behind it wait with it: a stream goes by seq. */
  #renderLater(flight: Flight): void {
    this.#tools.clock.after(PREPARE_AGAIN_MS, () => {
      if (this.#aborted) return;
      this.#render(flight);
      this.#publish();
    });
  }

  // ----------------------------------------------------------------------------------------------------- publishing

  /** Publishes from the head of the queue as far as it is rendered. */
  #publish(): void {
    let done = 0;
    for (const flight of this.#queue) {
      if (flight.rendered === null) break;
      done++;
      const lapsed = this.subscription.lapsed(flight.lease.event.seq);
      if (lapsed > this.#lapsed) flight.lapsed = this.#lapse(lapsed, flight.target.stream);
      // Readers were told of a gap up to behind it: it can't be put before that any more.
      else if (flight.lease.event.seq <= this.#lapsed) flight.rendered = { ...flight.rendered, frames: [] };
      this.#hand(flight, flight.rendered);
      this.#gathered.push(flight);
    }
    if (done === 0) return;
    this.#queue.splice(0, done);
    this.#gather();
  }

  #lapse(through: Seq, stream: string): Seq {
    this.#lapsed = through;
    this.#tools.log.warn(
      { stream, through },
      "events have lapsed before they came to the stream: readers are told of a gap",
    );
    this.sinks.lapse(through);
    return through;
  }

  /** Nothing is behind the lapse yet, and nothing unsettled before it. */
  #lapseAll(): void {
    const lapsed = this.subscription.lapsed();
    if (lapsed <= this.#lapsed) return;
    this.#lapse(lapsed, this.#target.stream);
    // Only the index's end rejects it; then it is owed at the next start.
    this.#index.begin(this.#target.stream, lapsed).catch(() => {});
  }

  #hand({ lease, target }: Flight, { frames, outcomes }: Rendered): void {
    const { clock, observer } = this.#tools;
    this.sinks.publish(lease.event.seq, frames);
    const seconds = Math.max(0, clock.wall() - lease.event.time) / 1000;
    outcomes.forEach(({ outcome }, nth) => {
      if (outcome === "delivered") observer.delivered(lease.routes[nth] ?? "", target.stream, seconds);
    });
  }

  #unpublished(err: unknown, seq: Seq): void {
    this.#tools.log.error({ err, stream: this.#target.stream, seq }, "stream failed to publish");
  }

  // -------------------------------------------------------------------------------------------------------- indexing

  #gather(): void {
    if (this.#gathered.length === 0 || this.#writing) return;
    if (this.#retired || this.#gathered.length >= GATHER.events || this.#owesMore()) this.#write();
    else this.#endGathering ??= this.#tools.clock.after(GATHER.ms, () => this.#write());
  }

  /** Perhaps it is handed out only when these are settled. */
  #owesMore(): boolean {
    return this.subscription
      .counts()
      .some(({ counts, replays }) => counts.pending > 0 || replays.pending > 0);
  }

  #write(waitMs: number = INDEX_RETRY_MS.first): void {
    this.#endGathering?.();
    this.#endGathering = null;
    if (this.#writing || this.#gathered.length === 0) return;
    this.#writing = true;
    const batch = this.#gathered;
    this.#gathered = [];
    writeFlights(this.#index, batch, this.#written).then(
      () => {
        this.#writing = false;
        this.#written = Math.max(this.#written, batch.at(-1)?.lease.event.seq ?? 0);
        if (this.#aborted) return;
        for (const flight of batch) this.#settle(flight);
        this.#gather();
        this.#fill();
      },
      (err: unknown) => this.#again(batch, err, waitMs),
    );
  }

  /** The leases stay out meanwhile, so that no more is taken on than `concurrency`. */
  #again(batch: Flight[], err: unknown, waitMs: number): void {
    const { log, clock } = this.#tools;
    log.error({ err, stream: this.#target.stream, retry_ms: waitMs }, "stream index can't be written");
    clock.after(waitMs, () => {
      this.#writing = false;
      if (this.#aborted) return;
      this.#gathered = [...batch, ...this.#gathered];
      this.#write(Math.min(waitMs * 2, INDEX_RETRY_MS.most));
    });
  }

  #settle(flight: Flight): void {
    const { outcomes, raises } = flight.rendered ?? { outcomes: [], raises: [] };
    const settlement: Settlement = {
      outcome: "streamed",
      attempt: null,
      routes: outcomes,
      ...(raises.length === 0 ? {} : { raises }),
    };
    // Rejects only when the journal is lost, which is the daemon's to act on.
    this.subscription.settle(flight.lease, settlement).catch(() => {});
    this.#flights.landed(flight);
  }
}
