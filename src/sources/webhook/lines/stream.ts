/**
 * One stream, from its first byte to its answer:
 *
 *   reading    a piece → its lines → each on its way to disk, as long as the window has room; else nothing is read
 *   settling   the body is over, or was cut: what is under way gets to disk, or is given up
 *   ending     the event that says how it ended, on disk before the producer is told yes
 *
 * A clock runs along: a stream in which nothing moves for `idle` ends, whichever of the three it is in.
 */
import type { IncomingMessage } from "node:http";
import type { Arrival, SourceHost } from "../../../component.ts";
import { LeatError } from "../../../errors.ts";
import type { PackedHeaders } from "../../../event.ts";
import type { BodyBudget } from "../../../http/body.ts";
import { STOOD_STILL_MS } from "../../../ports.ts";
import type { TokenBucket } from "../../../token-bucket.ts";
import { createTaker, type Take } from "../../take.ts";
import { BodyPieces, type PieceBounds } from "./body-pieces.ts";
import {
  type Cut,
  endingArrival,
  endingOf,
  type Outcome,
  packLineHeaders,
  type StreamIdentity,
} from "./outcome.ts";
import { failureOf } from "./request.ts";
import { Crowded, type Line, LineSplitter } from "./splitter.ts";
import { type LineReport, LineWindow } from "./window.ts";

/** So many of its lines may be refused; a producer that sends nothing else would fill the journal with refusals. */
const MOST_REFUSED = 100;

export interface StreamOptions extends StreamIdentity {
  readonly host: SourceHost;
  readonly request: IncomingMessage;
  /** The number of its first line. */
  readonly firstLine: number;
  readonly encoding: string | null;
  readonly bounds: PieceBounds;
  readonly maxLine: number;
  readonly idleMs: number;
  readonly keepEmpty: boolean;
  /** Lines in a time, over all streams of the source. */
  readonly rate: TokenBucket | null;
  readonly budget: BodyBudget;
}

export interface StreamResult {
  readonly outcome: Outcome;
  readonly report: LineReport;
  readonly seq: number | null;
}

export class LineStream {
  readonly #options: StreamOptions;
  readonly #body: BodyPieces<Cut>;
  readonly #window: LineWindow;
  readonly #headers: PackedHeaders;
  readonly #splitter: LineSplitter;
  readonly #take: Take;
  /** Ends waiting for a journal that takes nothing. */
  readonly #giveUp = new AbortController();
  #line: number;
  #movedAt: number;
  #cut: Cut | null = null;
  /** It waits for the source's rate. */
  #slowed = false;
  #cancelTimer = () => {};

  constructor(options: StreamOptions) {
    const { host, request, encoding, bounds, maxLine, budget, firstLine } = options;
    this.#options = options;
    this.#body = new BodyPieces(request, encoding, bounds);
    this.#headers = packLineHeaders(options.headers);
    this.#splitter = new LineSplitter(Math.min(maxLine, host.maxEventBytes), budget);
    this.#take = createTaker(host, { oversize: "refuse", signal: this.#giveUp.signal });
    this.#line = firstLine - 1;
    this.#movedAt = host.clock.monotonic();
    this.#window = new LineWindow(this.#line, () => this.#moved());
  }

  /** Rejects only with a defect. */
  async run(): Promise<StreamResult> {
    this.#watch(this.#options.idleMs);
    try {
      const read = await this.#read();
      this.#body.close();
      if (read !== "end" && read !== "aborted") this.#giveUp.abort();
      await this.#window.drained();
      if (this.#window.defect !== null) throw this.#window.defect;
      return await this.#end(read === "end" && this.#window.isBroken ? (this.#cut ?? "unavailable") : read);
    } finally {
      this.#cancelTimer();
      this.#body.close();
      this.#splitter.close();
    }
  }

  /** Ends it from outside: its producer is told how far it has come. */
  cut(why: Cut): void {
    this.#cut ??= why;
    this.#giveUp.abort();
    this.#body.cut(why);
    this.#window.wake();
  }

  async #read(): Promise<Outcome> {
    for (;;) {
      const piece = await this.#body.next();
      if (typeof piece === "string") return piece === "end" ? this.#last() : piece;
      try {
        for (const line of this.#splitter.push(piece)) {
          const stopped = await this.#put(line);
          if (stopped !== null) return stopped;
        }
      } catch (error) {
        if (error instanceof Crowded) return "crowded";
        throw error;
      }
    }
  }

  async #last(): Promise<Outcome> {
    const line = this.#splitter.end();
    return (line && (await this.#put(line))) ?? "end";
  }

  /** Sends a line on its way once there is room for it; says why none may follow, or null. */
  async #put({ bytes, cutFrom }: Line): Promise<Cut | null> {
    const { id, subject, headers, keepEmpty } = this.#options;
    this.#moved();
    if (bytes.byteLength === 0 && !keepEmpty) return null;
    while (this.#stopped() === null && !this.#window.hasRoom) await this.#window.change();
    await this.#keepToRate();
    const stopped = this.#stopped();
    if (stopped !== null) return stopped;
    const line = ++this.#line;
    const arrival: Arrival = {
      id: `${id}-${line}`,
      type: null,
      key: id,
      subject,
      headers: this.#headers,
      body: bytes,
      hops: headers.hops,
      address: () => this.#options.address(),
    };
    const size = bytes.byteLength + this.#headers.byteLength;
    const position = () => `${this.#options.address()}, stream ${id}, line ${line}`;
    this.#window.add(line, size, this.#take(arrival, position, cutFrom), (error) => this.#isDefect(error));
    return null;
  }

  #stopped(): Cut | null {
    if (this.#cut !== null) return this.#cut;
    if (this.#window.isBroken) return "unavailable";
    return this.#window.refused >= MOST_REFUSED ? "refused" : null;
  }

  async #keepToRate(): Promise<void> {
    const { rate, host } = this.#options;
    if (rate === null) return;
    for (;;) {
      const waitMs = rate.waitMs(host.clock.monotonic());
      if (waitMs === 0 || this.#stopped() !== null) break;
      this.#slowed = true;
      // What becomes of other lines meanwhile may wake it too.
      const cancel = host.clock.after(waitMs, () => this.#window.wake());
      await this.#window.change();
      cancel();
      this.#slowed = false;
      this.#moved();
    }
    if (this.#stopped() === null) rate.take();
  }

  /** The event of its end, and then its result. */
  async #end(outcome: Outcome): Promise<StreamResult> {
    const { request, host } = this.#options;
    const report = this.#window.report();
    const { seq } = this.#window;
    const failed = outcome === "end" ? failureOf(request.rawHeaders, request.rawTrailers) : null;
    const ending = endingOf(outcome, failed);
    if (ending === null) return { outcome, report, seq };
    // Where the producer only waits, or nobody does, the journal may take its time; a source that stops tries it once.
    const take = createTaker(host, { oversize: "refuse", signal: this.#giveUp.signal });
    const arrival = endingArrival(this.#options, ending, report);
    try {
      await take(arrival, () => `${this.#options.address()}, stream ${this.#options.id}, its end`);
      return { outcome, report, seq };
    } catch (err) {
      if (this.#isDefect(err)) throw err;
      const { id } = this.#options;
      host.log.warn({ err, stream: id, last: report.last, type: ending.type }, "a stream's end isn't told");
      return { outcome: outcome === "end" ? (this.#cut ?? "unavailable") : outcome, report, seq };
    }
  }

  #isDefect(error: unknown): boolean {
    if (error === this.#giveUp.signal.reason) return false;
    return !(error instanceof LeatError) || error.kind === "internal";
  }

  #moved(): void {
    this.#movedAt = this.#options.host.clock.monotonic();
  }

  /** Looks in `ms` whether it still moves. One timer for a stream, however many lines it has. */
  #watch(ms: number): void {
    const { clock } = this.#options.host;
    const dueAt = clock.monotonic() + ms;
    this.#cancelTimer = clock.after(ms, () => {
      const now = clock.monotonic();
      // The whole process stood still: lines may be there that it hasn't read.
      if (this.#slowed || now - dueAt > STOOD_STILL_MS) this.#moved();
      const restMs = this.#movedAt + this.#options.idleMs - now;
      if (restMs > 0) this.#watch(restMs);
      else this.cut(this.#window.isEmpty ? "idle" : "unavailable");
    });
  }
}
