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
import { queryOf } from "../../http/target.ts";
import { type Chance, type Clock, type Logger, systemChance } from "../../ports.ts";
import { type Auth, checkOrigin, isAuthorized, isKnownHost } from "../stream/access.ts";
import { selectChannels } from "../stream/channels.ts";
import { Feed } from "../stream/feed.ts";
import { newCounters, type StreamMetrics } from "../stream/metrics.ts";
import { Pages } from "../stream/pages.ts";
import { type Asked, askedPosition, type Gap, resolvePosition } from "../stream/position.ts";
import { Reader, type Signals } from "../stream/reader.ts";
import { Wheel } from "../stream/wheel.ts";
import { encodeBye, encodeGap, encodeGroup, encodeHeartbeat, encodeHello, type SseFormat } from "./frame.ts";
import { ResponseOutlet } from "./outlet.ts";
import { parseWait, poll, pollJson } from "./poll.ts";

/** What all readers together may leave waiting in memory, as far as the least bound of each allows. */
const TOTAL_BUFFER = 128 * 1024 * 1024;

/** Node tells a writer to wait from here on; a lower bound of ours would mean nothing. */
const LEAST_BUFFER = 64 * 1024;

/** Readers are told to come back after this, and up to as long again: they must not all come at once. */
const RETRY_MS = 1000;
const RETRY_SPREAD_MS = 2000;

/** Closing is spread over so long, and what is still open after the last is cut. */
const CLOSE_SPREAD_MS = 1000;
const CLOSE_CUT_MS = 3000;

const ANY_ORIGIN_HEADERS: [string, string][] = [
  ["access-control-allow-methods", "GET, HEAD"],
  ["access-control-allow-headers", "authorization, last-event-id, cache-control, accept"],
  ["access-control-max-age", "86400"],
];

const STREAM_HEADERS: [string, string][] = [
  ["content-type", "text/event-stream"],
  // `no-transform`: a proxy that compresses holds events back. The last one is nginx's.
  ["cache-control", "private, no-cache, no-store, must-revalidate, no-transform"],
  ["x-accel-buffering", "no"],
];

const SIGNALS: Signals = { heartbeat: encodeHeartbeat, gap: encodeGap };

export interface SseOptions {
  readonly path: string;
  readonly origins: readonly string[];
  /** As `StreamHost.hosts` has it. */
  readonly hosts: readonly string[] | null;
  readonly auth: Auth;
  /** Names and patterns that readers may join. */
  readonly channels: readonly string[];
  readonly format: SseFormat;
  readonly heartbeatMs: number;
  /** Where a reader begins that names no position, at most where it is now; absent: there. */
  readonly begin?: () => Promise<Seq>;
  /** As `Known.afresh`. */
  readonly afresh?: () => Seq;
  readonly maxBuffer: number;
  readonly maxReaders: number;
  readonly history: StreamHistory;
  /** The last seq that the journal committed. */
  readonly committed: () => Seq;
  readonly clock: Clock;
  readonly log: Logger;
  readonly chance?: Chance;
}

/** One connected reader with what belongs to its connection. */
interface Connection {
  readonly reader: Reader;
  readonly outlet: ResponseOutlet;
}

export class SseEndpoint implements HttpEndpoint {
  readonly path: string;
  readonly subtree = false;
  readonly #options: SseOptions;
  readonly #chance: Chance;
  readonly #feed: Feed;
  readonly #pages: Pages;
  readonly #counters = newCounters();
  readonly #connections = new Map<ServerResponse, Connection | null>();
  readonly #wheel: Wheel<Reader>;
  readonly #stopping = new AbortController();

  constructor(options: SseOptions) {
    this.path = options.path;
    this.#options = options;
    this.#chance = options.chance ?? systemChance;
    const encode = (seq: Seq, frames: readonly StreamFrame[]) => encodeGroup(options.format, seq, frames);
    this.#feed = new Feed(encode);
    this.#pages = new Pages(options.history, encode);
    this.#wheel = new Wheel(options.clock, options.heartbeatMs, (reader) => reader.heartbeat());
  }

  /** Begins where the history ends. */
  async start(): Promise<void> {
    this.#feed.begin((await this.#options.history.bounds()).newest);
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.#feed.publish(seq, frames);
  }

  forgetPublished(): void {
    this.#feed.forget();
  }

  /** Moves on without frames; readers that come later get what lies before from the history. */
  advance(seq: Seq): void {
    this.#feed.advance(seq);
  }

  metrics(): StreamMetrics {
    return { ...this.#counters, readers: this.#connections.size };
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { auth, origins, hosts } = this.#options;
    if (!isKnownHost(request, auth, origins, hosts)) {
      const message = "The stream isn't read under this name: it would have to be in server.hosts.";
      answerError(request, response, 421, "host_not_allowed", message);
      return;
    }
    const cors = checkOrigin(request, origins);
    if (cors === null) {
      answerError(request, response, 403, "origin_not_allowed", "Pages of this origin may not read here.");
      return;
    }
    for (const [name, value] of cors) response.setHeader(name, value);
    if (request.method === "OPTIONS") {
      for (const [name, value] of ANY_ORIGIN_HEADERS) response.setHeader(name, value);
      response.writeHead(204, ["allow", "GET, HEAD, OPTIONS"]).end();
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      const more = ["allow", "GET, HEAD, OPTIONS"];
      answerError(request, response, 405, "method_not_allowed", "A stream is read with GET.", more);
      return;
    }
    const query = new URLSearchParams(queryOf(request.url ?? ""));
    if (!isAuthorized(auth, request, query)) {
      const more = ["www-authenticate", "Bearer"];
      answerError(request, response, 401, "unauthorized", "A valid token is needed.", more);
      return;
    }
    const selected = selectChannels(this.#options.channels, query.getAll("channel"));
    if (!selected.allowed) {
      answerError(request, response, selected.status, selected.code, selected.message);
      return;
    }
    const asked = askedPosition(header(request, "last-event-id"), query);
    if (wantsJson(request)) await this.#poll(request, response, query, selected.selection, asked);
    else await this.#stream(request, response, selected.selection, asked);
  }

  /** Says `bye` to all, spread over a second, and resolves when none is left. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { clock } = this.#options;
    const open = [...this.#connections.entries()];
    for (const [at, [response, connection]] of open.entries()) {
      clock.after((CLOSE_SPREAD_MS * at) / open.length, () => {
        connection?.reader.close();
        connection?.outlet.end(encodeBye("restart", this.#retryMs()));
      });
      clock.after(CLOSE_CUT_MS, () => response.destroy());
    }
    // The cut bounds it.
    await Promise.all(open.map(([response]) => closed(response)));
  }

  async #stream(
    request: IncomingMessage,
    response: ServerResponse,
    selection: ChannelSelection,
    asked: Asked,
  ): Promise<void> {
    for (const [name, value] of STREAM_HEADERS) response.setHeader(name, value);
    // A stream's end is its connection's: none is kept that nobody will use.
    response.shouldKeepAlive = false;
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const refusal = this.#refusal();
    if (refusal) {
      this.#counters.refused++;
      const live = asked === null && !this.#options.begin;
      response.end(encodeBye(refusal, this.#retryMs(), live ? this.#feed.published : 0));
      return;
    }
    this.#enter(response);
    const { position, gap } = await this.#resolve(asked);
    if (response.destroyed || this.#stopping.signal.aborted) {
      response.end(encodeBye("restart", this.#retryMs()));
      return;
    }
    const { clock } = this.#options;
    const outlet = new ResponseOutlet(response, () => this.#counters.closed++);
    const reader = new Reader({
      selection,
      position,
      outlet,
      feed: this.#feed,
      pages: this.#pages,
      signals: SIGNALS,
      counters: this.#counters,
      clock,
      bound: () => this.#bound(),
      onDefect: (err) => {
        this.#options.log.error({ err }, "a stream's reader failed");
        response.destroy();
      },
    });
    this.#connections.set(response, { reader, outlet });
    this.#wheel.add(reader);
    // Cut off between the two, a reader must not come back with a position behind a gap that it never heard of.
    outlet.send(encodeHello(gap === null ? position : 0, this.#retryMs()));
    if (gap) outlet.send(encodeGap(gap, position));
    reader.start();
  }

  async #poll(
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
    selection: ChannelSelection,
    asked: Asked,
  ): Promise<void> {
    response.setHeader("cache-control", "private, no-store");
    const waitMs = parseWait(query);
    if (waitMs === null) {
      answerError(request, response, 400, "bad_wait", "wait is a duration of at most 25s, such as 10s.");
      return;
    }
    const refusal = this.#refusal();
    if (refusal) {
      this.#counters.refused++;
      const more = ["retry-after", "2"];
      answerError(request, response, 503, "try_again", "Not now: try again in a moment.", more);
      return;
    }
    this.#enter(response);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const { position, gap } = await this.#resolve(asked);
    const { history, clock } = this.#options;
    const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
    const answer = gap
      ? { events: [], next: position, gap }
      : await poll({ selection, position, feed: this.#feed, history, clock, waitMs, signal });
    if (response.destroyed) return;
    this.#counters.frames += answer.events.length;
    answerJson(response, 200, pollJson(answer));
  }

  /** Counts the connection until it closes. */
  #enter(response: ServerResponse): void {
    this.#connections.set(response, null);
    response.on("close", () => {
      const connection = this.#connections.get(response);
      this.#connections.delete(response);
      if (!connection) return;
      this.#wheel.delete(connection.reader);
      connection.reader.close();
    });
  }

  async #resolve(asked: Asked): Promise<{ position: Seq; gap: Gap | null }> {
    const { history, committed, begin, afresh } = this.#options;
    if (asked === null && !begin) return { position: this.#feed.published, gap: null };
    const since = asked === null && begin ? await begin() : 0;
    const bounds = await history.bounds();
    if (asked === null) {
      return { position: Math.min(Math.max(since, bounds.oldest), this.#feed.published), gap: null };
    }
    const newest = Math.max(bounds.newest, this.#feed.published);
    const known = { oldest: bounds.oldest, newest, committed: committed() };
    const resolved = resolvePosition(asked, afresh ? { ...known, afresh: afresh() } : known);
    if (resolved.gap) this.#counters.gaps++;
    return resolved;
  }

  #refusal(): "load" | "restart" | null {
    if (this.#stopping.signal.aborted) return "restart";
    return this.#connections.size >= this.#options.maxReaders ? "load" : null;
  }

  #bound(): number {
    const share = TOTAL_BUFFER / Math.max(1, this.#connections.size);
    return Math.max(LEAST_BUFFER, Math.min(this.#options.maxBuffer, share));
  }

  #retryMs(): number {
    return RETRY_MS + this.#chance.random() * RETRY_SPREAD_MS;
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
