/**
 * An address at which a stream is read as Server-Sent Events or by long polls. Whoever has frames hands them in by
 * `publish`; whoever keeps them gives them again as a `StreamHistory`.
 *
 * Refusals: what a reader can't mend by waiting (name, origin, token, channel) is 421, 403, 401 or 400, with which an EventSource
 * ends for good, as it should. What passes (load, a restart) is a 200 that says `bye` and ends, so that it comes back.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ChannelSelection, HttpEndpoint, StreamFrame, StreamHistory } from "../../component.ts";
import type { Seq } from "../../event.ts";
import { answerError, answerJson } from "../../http/answer.ts";
import { type Chance, type Clock, type Logger, systemChance } from "../../ports.ts";
import type { Access } from "../stream/access/access.ts";
import { type Denial, later, type Verdict } from "../stream/access/admission.ts";
import { answerDenial, passGate } from "../stream/access/gate.ts";
import type { Session } from "../stream/access/session.ts";
import type { SlowPolicy } from "../stream/backlog.ts";
import { Broadcast } from "../stream/broadcast.ts";
import { type Selected, selectChannels } from "../stream/channels.ts";
import { retryMs, spread } from "../stream/leaving.ts";
import type { StreamMetrics } from "../stream/metrics.ts";
import { type Asked, askedPosition } from "../stream/position.ts";
import { Wheel } from "../stream/wheel.ts";
import { SseConnection, socketOf } from "./connection.ts";
import { encodeBye, encodeDropped, encodeGap, encodeGroup, type Leave, type SseFormat } from "./frame.ts";
import { parseWait, poll, pollJson } from "./poll.ts";

/** At a stop, closing is spread over so long, and what is still open after the last is cut. */
const CLOSE_SPREAD_MS = 1000;
const CLOSE_CUT_MS = 3000;

/** A drain closes no slower than this, whatever its window: so few come back at once unnoticed. */
const DRAIN_STEP_MS = 10;

const STREAM_HEADERS: [string, string][] = [
  ["content-type", "text/event-stream"],
  // `no-transform`: a proxy that compresses holds events back. The last one is nginx's.
  ["cache-control", "private, no-cache, no-store, must-revalidate, no-transform"],
  ["x-accel-buffering", "no"],
];

const NOT_NOW = later(503, "try_again", "Not now: try again in a moment.", 2000);

type Admitted = Extract<Verdict, { admitted: true }>;

export interface SseOptions {
  readonly path: string;
  /** Who may read what, and how many at a time. */
  readonly access: Access;
  /** Channels on one connection; absent: `USUAL_CHANNELS`. */
  readonly maxChannels?: number;
  readonly format: SseFormat;
  readonly heartbeatMs: number;
  /** A reader whose connection ended comes back after this, and up to as long again; absent: after 1 to 3 s. */
  readonly retryMs?: number;
  /** Where a reader begins that names no position, at most where it is now; absent: there. */
  readonly begin?: () => Promise<Seq>;
  /** As `Known.afresh`. */
  readonly afresh?: () => Seq;
  readonly maxBuffer: number;
  /** How long anything may wait for one reader, in ms; then it is closed. */
  readonly maxDelayMs: number;
  /** What becomes of a channel's frames where a reader is slow; absent: none is dropped. */
  readonly slow?: (channel: string) => SlowPolicy;
  /** Over how long a drain closes readers, in ms. */
  readonly drainMs: number;
  readonly history: StreamHistory;
  /** The last seq that the journal committed. */
  readonly committed: () => Seq;
  readonly clock: Clock;
  readonly log: Logger;
  readonly chance?: Chance;
}

export class SseEndpoint implements HttpEndpoint {
  readonly path: string;
  /** What lies under it is for `access`: tickets. */
  readonly subtree = true;
  readonly #options: SseOptions;
  readonly #chance: Chance;
  readonly #broadcast: Broadcast;
  /** Null: a long poll, or a reader who isn't answered yet. */
  readonly #connections = new Map<ServerResponse, SseConnection | null>();
  readonly #heartbeats: Wheel<SseConnection>;
  readonly #stopping = new AbortController();
  #draining: Promise<void> | null = null;

  constructor(options: SseOptions) {
    this.path = options.path;
    this.#options = options;
    this.#chance = options.chance ?? systemChance;
    this.#broadcast = new Broadcast(
      {
        ...options,
        encode: (seq, frames) => encodeGroup(options.format, seq, frames),
        signals: { gap: encodeGap, dropped: encodeDropped },
        slow: options.slow ?? (() => "close"),
      },
      () => this.#connections.size,
    );
    this.#heartbeats = new Wheel(options.clock, options.heartbeatMs, (connection) => connection.heartbeat());
  }

  /** Begins where the history ends. */
  start(): Promise<void> {
    return this.#broadcast.start();
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.#broadcast.feed.publish(seq, frames);
  }

  takeOver(through: Seq): void {
    this.#broadcast.feed.takeOver(through);
  }

  lapse(through: Seq): void {
    this.#broadcast.feed.lapse(through);
  }

  forgetPublished(): void {
    this.#broadcast.feed.forget();
  }

  /** Moves on without frames; readers that come later get what lies before from the history. */
  advance(seq: Seq): void {
    this.#broadcast.feed.advance(seq);
  }

  metrics(): StreamMetrics {
    return { ...this.#broadcast.counters, readers: this.#connections.size };
  }

  async handle(request: IncomingMessage, response: ServerResponse, rest: string): Promise<void> {
    const { access, maxChannels } = this.#options;
    const passed = await passGate(access, request, response, rest);
    if (passed === null) return;
    const { query, verdict } = passed;
    if (!verdict.admitted) {
      this.#turnAway(request, response, verdict.denial);
      return;
    }
    const lastEventId = header(request, "last-event-id");
    const selected = selectChannels(verdict.admission, query.getAll("channel"), {
      ...(maxChannels !== undefined && { most: maxChannels }),
      resumes: lastEventId !== undefined && !wantsJson(request),
    });
    if (!selected.allowed) {
      answerError(request, response, selected.status, selected.code, selected.message);
      return;
    }
    const asked = askedPosition(lastEventId, query);
    if (wantsJson(request)) await this.#poll(request, response, query, selected.selection, asked, verdict);
    else await this.#stream(request, response, query, selected, asked, verdict);
  }

  /**
   * Takes no reader more, and says `bye` to those that are there, spread over the window, while events are still published:
   * they miss nothing until they are told. Resolves when all were told.
   */
  drain(): Promise<void> {
    this.#draining ??= this.#dismiss("drain", this.#options.drainMs);
    return this.#draining;
  }

  /** Says `bye` to all, spread over a second, and resolves when none is left. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#draining;
    await this.#dismiss("restart", CLOSE_SPREAD_MS);
    const open = [...this.#connections.keys()];
    const cancels = open.map((response) =>
      this.#options.clock.after(CLOSE_CUT_MS - CLOSE_SPREAD_MS, () => response.destroy()),
    );
    // The cut bounds it.
    await Promise.all(open.map((response) => closed(response)));
    for (const cancel of cancels) cancel();
  }

  /** A stop ends a drain's window. */
  #dismiss(reason: Leave, windowMs: number): Promise<void> {
    const open = [...this.#connections.values()].filter((connection) => connection !== null);
    const within = Math.min(windowMs, open.length * DRAIN_STEP_MS);
    const hurry = reason === "drain" ? this.#stopping.signal : new AbortController().signal;
    return spread(open, within, this.#options.clock, hurry, (connection) => connection.leave(reason));
  }

  async #stream(
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
    { selection, lost }: Extract<Selected, { allowed: true }>,
    asked: Asked,
    verdict: Admitted,
  ): Promise<void> {
    for (const [name, value] of STREAM_HEADERS) response.setHeader(name, value);
    // A stream's end is its connection's: none is kept that nobody will use.
    response.shouldKeepAlive = false;
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const leaving = this.#leaving();
    let connection: SseConnection | null = null;
    const entered = this.#options.access.enter(verdict, {
      changed: (admission) => connection?.restrict(admission),
      ended: (why) => connection?.leave(why),
    });
    if (leaving !== null || !entered.entered) {
      if (entered.entered) entered.session.close();
      const wait = entered.entered ? 0 : entered.denial.retryMs;
      this.#bye(response, leaving ?? "load", wait, asked === null ? this.#broadcast.present : 0);
      return;
    }
    const { session } = entered;
    this.#enter(response, session);
    const { position, gap } = await this.#broadcast.resolve(asked);
    const socket = await socketOf(response);
    const late = this.#leaving() ?? (session.closed ? "expired" : null);
    if (socket === null || late !== null) {
      response.end(encodeBye(late ?? "restart", this.#retryMs()));
      return;
    }
    const opening = { selection, position, gap, heartbeatEvents: query.get("heartbeat") === "event" };
    const { clock, log } = this.#options;
    connection = new SseConnection(response, socket, this.#broadcast, opening, {
      clock,
      retryMs: () => this.#retryMs(),
      onDefect: (err) => log.error({ err }, "a stream's reader failed"),
    });
    this.#connections.set(response, connection);
    this.#heartbeats.add(connection);
    connection.restrict(session.admission, lost);
  }

  async #poll(
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
    selection: ChannelSelection,
    asked: Asked,
    verdict: Admitted,
  ): Promise<void> {
    response.setHeader("cache-control", "private, no-store");
    const waitMs = parseWait(query);
    if (waitMs === null) {
      answerError(request, response, 400, "bad_wait", "wait is a duration of at most 25s, such as 10s.");
      return;
    }
    const { counters, feed } = this.#broadcast;
    const gone = new AbortController();
    const cut = () => gone.abort();
    // What is answered then is what it was given before.
    const entered = this.#options.access.enter(verdict, { changed: cut, ended: cut });
    if (this.#leaving() !== null || !entered.entered) {
      if (entered.entered) entered.session.close();
      counters.refused++;
      answerDenial(request, response, entered.entered ? NOT_NOW : entered.denial);
      return;
    }
    this.#enter(response, entered.session);
    response.on("close", cut);
    const { position, gap } = await this.#broadcast.resolve(asked);
    const { history, clock } = this.#options;
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    const answer = gap
      ? { events: [], next: position, gap }
      : await poll({ selection, position, feed, history, clock, waitMs, signal });
    if (response.destroyed) return;
    counters.frames += answer.events.length;
    answerJson(response, 200, pollJson(answer));
  }

  /** Counts the connection until it closes. */
  #enter(response: ServerResponse, session: Session): void {
    this.#connections.set(response, null);
    response.on("close", () => {
      session.close();
      const connection = this.#connections.get(response);
      this.#connections.delete(response);
      if (!connection) return;
      this.#heartbeats.delete(connection);
      connection.reader.close();
    });
  }

  /** One who can't be let in now, and is to come back. */
  #turnAway(request: IncomingMessage, response: ServerResponse, denial: Denial): void {
    if (wantsJson(request)) {
      this.#broadcast.counters.refused++;
      answerDenial(request, response, denial);
      return;
    }
    for (const [name, value] of STREAM_HEADERS) response.setHeader(name, value);
    this.#bye(response, "load", denial.retryMs, 0);
  }

  /** `waitMs`: what was asked for beside the usual wait. */
  #bye(response: ServerResponse, reason: Leave, waitMs = 0, position: Seq = 0): void {
    this.#broadcast.counters.refused++;
    response.shouldKeepAlive = false;
    response.end(encodeBye(reason, Math.max(waitMs, 0) + this.#retryMs(), position));
  }

  #leaving(): Leave | null {
    if (this.#stopping.signal.aborted) return "restart";
    return this.#draining === null ? null : "drain";
  }

  #retryMs(): number {
    return retryMs(this.#chance, this.#options.retryMs ?? null);
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** An EventSource names its own type; a client that names neither gets the stream. */
function wantsJson(request: IncomingMessage): boolean {
  const accept = request.headers.accept ?? "";
  return accept.includes("application/json") && !accept.includes("text/event-stream");
}

function closed(response: ServerResponse): Promise<void> {
  return response.closed
    ? Promise.resolve()
    : new Promise((resolve) => response.on("close", () => resolve()));
}
