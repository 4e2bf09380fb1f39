/**
 * An address at which a stream is spoken with over WebSockets, or read by long polls. Whoever has frames hands them in by
 * `publish`; whoever keeps them gives them again as a `StreamHistory`.
 *
 * Refusals: a page of a foreign origin is answered 403 before there is a WebSocket, since no browser keeps it from asking.
 * A page can't see such an answer, so all else is told over the WebSocket, and by the code with which it is closed.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { StreamFrame, UpgradableEndpoint } from "../../component.ts";
import type { Seq } from "../../event.ts";
import { answerError } from "../../http/answer.ts";
import { queryOf } from "../../http/target.ts";
import type { Rate } from "../../plan.ts";
import { type Chance, type Clock, type Logger, systemChance } from "../../ports.ts";
import type { Access } from "../stream/access/access.ts";
import { later, type Verdict } from "../stream/access/admission.ts";
import { Deadlines } from "../stream/access/deadlines.ts";
import { answerDenial, passGate } from "../stream/access/gate.ts";
import { Broadcast, type BroadcastOptions } from "../stream/broadcast.ts";
import { retryMs, spread } from "../stream/leaving.ts";
import type { StreamMetrics } from "../stream/metrics.ts";
import { Wheel } from "../stream/wheel.ts";
import { CLOSE_CUT_MS, LOAD, RESTART } from "./close.ts";
import { Connection } from "./connection.ts";
import type { Crowd } from "./crowd.ts";
import type { Entrance } from "./entry.ts";
import { deflatedFrame, PING_FRAME, textFrame } from "./frame.ts";
import { Handshake, refuseOrigin } from "./handshake.ts";
import type { Common } from "./line.ts";
import { longPoll, wantsJson } from "./long-poll.ts";
import * as say from "./messages.ts";
import type { Publisher } from "./publisher.ts";

/** A client whose request shows nothing has so long for its `connect`. */
const CONNECT_MS = 10_000;

/** At a stop, closing is spread over so long. */
const CLOSE_SPREAD_MS = 1000;

/** A drain closes no slower than this, whatever its window. */
const DRAIN_STEP_MS = 10;

const NOT_NOW = later(503, "try_again", "Not now: try again in a moment.", 2000);

type Admitted = Extract<Verdict, { admitted: true }>;

export interface WebSocketOptions extends Omit<BroadcastOptions, "encode" | "signals"> {
  readonly path: string;
  /** Who may read and publish what, and how many at a time. */
  readonly access: Access;
  readonly publisher: Publisher;
  readonly crowd: Crowd;
  readonly envelope: boolean;
  /** Messages are compressed, where the client agrees. */
  readonly compress: boolean;
  readonly heartbeatMs: number;
  /** A client whose connection ended comes back after this, and up to as long again; null: after 1 to 3 s. */
  readonly retryMs: number | null;
  /** Over how long a drain closes connections, in ms. */
  readonly drainMs: number;
  /** Of what a client says. */
  readonly maxMessageBytes: number;
  readonly messageRate: Rate;
  readonly publishRate: Rate;
  readonly maxChannels: number;
  readonly channelBytes: number;
  readonly log: Logger;
  readonly clock: Clock;
  readonly chance?: Chance;
}

export class WebSocketEndpoint implements UpgradableEndpoint {
  readonly path: string;
  /** What lies under it is for `access`: tickets. */
  readonly subtree = true;
  readonly upgradesTo = "websocket";
  readonly #options: WebSocketOptions;
  readonly #chance: Chance;
  readonly #handshake: Handshake;
  readonly #plain: Broadcast;
  /** For clients who take compressed messages: each is compressed once for all of them. Null: nobody is offered that. */
  readonly #deflated: Broadcast | null;
  readonly #common: Common;
  readonly #connections = new Set<Connection>();
  readonly #heartbeats: Wheel<Connection>;
  readonly #unconnected: Deadlines<Connection>;
  #leaving: "drain" | "restart" | null = null;
  readonly #stopping = new AbortController();
  /** Of a drain, and of a stop without one. */
  readonly #leavingSignal = new AbortController();
  #polls = 0;
  #draining: Promise<void> | null = null;
  #refused = 0;
  #whenNone: (() => void) | null = null;

  constructor(options: WebSocketOptions) {
    const { clock, heartbeatMs } = options;
    this.path = options.path;
    this.#options = options;
    this.#chance = options.chance ?? systemChance;
    this.#handshake = new Handshake(options);
    this.#plain = this.#broadcast(textFrame);
    this.#deflated = options.compress ? this.#broadcast(deflatedFrame) : null;
    this.#heartbeats = new Wheel(clock, heartbeatMs, (connection) => connection.visit());
    this.#unconnected = new Deadlines(clock, (connection) => connection.late());
    this.#common = this.#shared();
  }

  #broadcast(frame: (text: string) => Buffer): Broadcast {
    const { envelope } = this.#options;
    const encode = (seq: Seq, frames: readonly StreamFrame[]) => {
      const last = frames.length - 1;
      const made = frames.map((each, at) => frame(say.event(seq, each, envelope, at < last)));
      return made.length === 1 ? (made[0] as Buffer) : Buffer.concat(made);
    };
    const signals = {
      gap: (gap: Parameters<typeof say.gap>[0]) => textFrame(say.gap(gap)),
      dropped: (each: readonly Parameters<typeof say.dropped>[0][]) =>
        Buffer.concat(each.map((one) => textFrame(say.dropped(one)))),
    };
    return new Broadcast({ ...this.#options, encode, signals }, () => this.#connections.size);
  }

  #shared(): Common {
    let told = -1;
    let frame = PING_FRAME;
    return {
      ...this.#options,
      retryMs: (leastMs = 0) => leastMs + retryMs(this.#chance, this.#options.retryMs),
      positionFrame: (seq) => {
        if (seq !== told) frame = Buffer.concat([textFrame(say.position(seq)), PING_FRAME]);
        told = seq;
        return frame;
      },
      onRefused: () => this.#refused++,
    };
  }

  // ------------------------------------------------------------------------------------------------------ the stream

  get #broadcasts(): readonly Broadcast[] {
    return this.#deflated === null ? [this.#plain] : [this.#plain, this.#deflated];
  }

  async start(): Promise<void> {
    for (const broadcast of this.#broadcasts) await broadcast.start();
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    for (const { feed } of this.#broadcasts) feed.publish(seq, frames);
  }

  takeOver(through: Seq): void {
    for (const { feed } of this.#broadcasts) feed.takeOver(through);
  }

  lapse(through: Seq): void {
    for (const { feed } of this.#broadcasts) feed.lapse(through);
  }

  forgetPublished(): void {
    for (const { feed } of this.#broadcasts) feed.forget();
  }

  metrics(): StreamMetrics {
    const { counters } = this.#plain;
    const more = this.#deflated?.counters ?? null;
    const sum = { ...counters };
    if (more !== null) {
      for (const name of Object.keys(sum) as (keyof StreamMetrics)[]) sum[name] = counters[name] + more[name];
    }
    const { handed, present } = this.#options.crowd;
    return { ...sum, readers: this.#connections.size + this.#polls, ephemeral: handed, members: present };
  }

  // ----------------------------------------------------------------------------------------------------- connections

  async handle(request: IncomingMessage, response: ServerResponse, rest: string): Promise<void> {
    const passed = await passGate(this.#options.access, request, response, rest);
    if (passed === null) return;
    if (!passed.verdict.admitted) {
      answerDenial(request, response, passed.verdict.denial);
      return;
    }
    if (wantsJson(request)) {
      await this.#poll(request, response, passed.query, passed.verdict);
      return;
    }
    const more = ["upgrade", "websocket", "connection", "upgrade"];
    const message = "This stream is read over a WebSocket.";
    answerError(request, response, 426, "upgrade_required", message, more);
  }

  async #poll(
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
    verdict: Admitted,
  ): Promise<void> {
    const { access, maxChannels, history, clock } = this.#options;
    if (this.#leaving !== null) {
      answerDenial(request, response, NOT_NOW);
      return;
    }
    this.#polls++;
    response.on("close", () => this.#polls--);
    const reading = {
      access,
      broadcast: this.#plain,
      history,
      clock,
      maxChannels,
      ending: this.#leavingSignal.signal,
    };
    await longPoll(reading, request, response, query, verdict);
  }

  upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const { access } = this.#options;
    const met = access.meet(request);
    if ("denial" in met) {
      refuseOrigin(socket, met);
      return;
    }
    this.#handshake.take(request, socket, head, (webSocket) => this.#open(request, socket, webSocket));
  }

  #open(request: IncomingMessage, socket: Socket, webSocket: WebSocket): void {
    const place = this.#options.access.arrive(request);
    const release = typeof place === "function" ? place : () => {};
    const entrance = this.#entranceOf(request, release);
    const deflated = webSocket.extensions !== "" ? this.#deflated : null;
    const broadcast = deflated ?? this.#plain;
    const connection = new Connection({ common: this.#common, broadcast, entrance, socket, webSocket });
    this.#connections.add(connection);
    // What is wrong with a frame is told by the code with which `ws` closes; what is wrong with the socket, by its end.
    webSocket.on("error", () => {});
    webSocket.on("close", () => {
      release();
      this.#gone(connection);
    });
    if (this.#leaving !== null) {
      this.#plain.counters.refused++;
      connection.close(RESTART, this.#leaving);
    } else if (typeof place !== "function") {
      this.#plain.counters.refused++;
      connection.close(LOAD, "load", place.retryMs);
    } else this.#begin(connection).catch((error: unknown) => connection.failed(error));
  }

  /** Apart from what is heard of the socket for as long as it is open: that would hold the request too. */
  #entranceOf(request: IncomingMessage, release: () => void): Entrance {
    const { access } = this.#options;
    const query = new URLSearchParams(queryOf(request.url ?? ""));
    return {
      admit: (token) => access.admit(request, query, { token }),
      enter: (verdict, owner) => {
        release();
        return access.enter(verdict, owner);
      },
    };
  }

  async #begin(connection: Connection): Promise<void> {
    this.#heartbeats.add(connection);
    const shownNothing = await connection.begin();
    if (shownNothing && !connection.closing) this.#unconnected.set(connection, CONNECT_MS);
  }

  #gone(connection: Connection): void {
    connection.gone();
    this.#heartbeats.delete(connection);
    this.#unconnected.delete(connection);
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#whenNone?.();
  }

  // ---------------------------------------------------------------------------------------------------------- the end

  /**
   * Takes no client more, and says `bye` to those that are there, spread over the window, while events are still
   * published. Resolves when all were told.
   */
  drain(): Promise<void> {
    this.#draining ??= this.#dismiss("drain", this.#options.drainMs, this.#stopping.signal);
    return this.#draining;
  }

  /** Says `bye` to all, spread over a second, and resolves when none is left. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#draining;
    await this.#dismiss("restart", CLOSE_SPREAD_MS, new AbortController().signal);
    const cancel = this.#options.clock.after(CLOSE_CUT_MS, () => {
      for (const connection of this.#connections) connection.cut();
    });
    await new Promise<void>((resolve) => {
      this.#whenNone = resolve;
      if (this.#connections.size === 0) resolve();
    });
    cancel();
    this.#options.crowd.stop();
  }

  #dismiss(why: "drain" | "restart", windowMs: number, hurry: AbortSignal): Promise<void> {
    this.#leaving = why;
    this.#leavingSignal.abort();
    const open = [...this.#connections];
    const within = Math.min(windowMs, open.length * DRAIN_STEP_MS);
    return spread(open, within, this.#options.clock, hurry, (connection) => connection.close(RESTART, why));
  }
}
