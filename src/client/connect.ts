/**
 * `leat/client`: reads Leat's streams, and publishes to them, from browsers and Node. No dependencies. docs/client.md
 *
 *     const leat = connect("/events", { channels: ["prices"] });
 *     for await (const { data } of leat) show(data);
 */
import { Emitter } from "./emitter.ts";
import type { Ask } from "./outbox.ts";
import { keepConnected } from "./reconnect.ts";
import { Socket } from "./socket.ts";
import { dialSse } from "./sse.ts";
import { Intake, type Subscription, type SubscriptionOptions } from "./subscription.ts";
import {
  type Ack,
  type Member,
  type Status,
  type StatusNews,
  StreamError,
  type StreamEvent,
} from "./words.ts";

export type { PlaceStorage, SubscriptionNews, SubscriptionOptions } from "./subscription.ts";
export type { Ack, Dropped, Gap, Member, Presence, Status, StatusNews, StreamEvent } from "./words.ts";
export type { Subscription };
export { StreamError };

export interface ConnectOptions extends SubscriptionOptions {
  /** Default: `websocket` where the address begins with ws: or wss:, else `sse`. */
  readonly transport?: "sse" | "websocket" | undefined;
  /** What `for await` over the connection reads. Over SSE none is all that the reader may read and that is no pattern. */
  readonly channels?: readonly string[] | undefined;
  /** A token, or what gives one; asked for each connection, and to renew one before it expires. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** What gives a ticket that is good for one connection. */
  readonly ticket?: (() => string | Promise<string>) | undefined;
  /** Send cookies to another origin; default false. SSE only: a WebSocket always has them. */
  readonly credentials?: boolean | undefined;
  /** Whether the sink has `envelope: true`; then events over SSE have a channel, id, type and time. */
  readonly envelope?: boolean | undefined;
  /** The types of events to hear where the sink has `event: true`; SSE without a token only, everything else hears all. */
  readonly events?: readonly string[] | undefined;
  /** ms, default 1000 and 30000: the first wait is a random part of `initial`, and it doubles with each failure. */
  readonly backoff?: { readonly initial?: number; readonly max?: number } | undefined;
  /** ms: an SSE stream that is quiet for longer is dropped; default 60000. A WebSocket's server says it itself. */
  readonly silence?: number | undefined;
  /** Publishes that may wait for their acknowledgement; default 1000. */
  readonly outbox?: number | undefined;
  /** For Node before 22, which has none: that of the package `ws`. */
  readonly WebSocket?: unknown;
}

export interface PublishOptions {
  /** Default: 128 random bits. With the same id it is one event, however often it is published. */
  readonly id?: string | undefined;
  /** The event's type; default `message`. */
  readonly type?: string | undefined;
}

export interface ConnectionNews {
  status: StatusNews;
}

/** Connects, and stays so until `close()` or an error that nobody comes back from. */
export function connect<Data = unknown>(
  address: string | URL,
  options: ConnectOptions = {},
): Connection<Data> {
  const page = (globalThis as { readonly location?: { readonly href: string } }).location;
  const url = new URL(address, page?.href);
  const transport = options.transport ?? (url.protocol.startsWith("ws") ? "websocket" : "sse");
  if (transport === "websocket") url.protocol = url.protocol.replace(/^http/, "ws");
  return new Connection<Data>(url.href, transport === "websocket", options);
}

export type { Connection };

class Connection<Data = unknown> implements AsyncIterable<StreamEvent<Data>> {
  readonly #url: string;
  readonly #options: ConnectOptions;
  readonly #news = new Emitter<ConnectionNews>();
  readonly #stop = new AbortController();
  readonly #intakes = new Map<Intake, AbortController>();
  readonly #socket: Socket | undefined;
  #first: Subscription<Data> | undefined;
  #status: Status = "connecting";

  /** @internal */
  constructor(url: string, websocket: boolean, options: ConnectOptions) {
    this.#url = url;
    this.#options = options;
    if (websocket) this.#socket = this.#openSocket();
    if (options.channels) this.#first = this.subscribe(options.channels, options);
  }

  get status(): Status {
    return this.#status;
  }

  /** Returns what takes the listener off. */
  on<Name extends keyof ConnectionNews>(
    name: Name,
    listener: (news: ConnectionNews[Name]) => void,
  ): () => void {
    return this.#news.on(name, listener);
  }

  /**
   * Reads channels, or patterns of them. Over SSE each subscription is a request of its own: name several channels in one.
   * StreamError `already_subscribed`, `channel_missing` (WebSocket only).
   */
  subscribe<Other = Data>(
    channels: string | readonly string[] = [],
    options: SubscriptionOptions = {},
  ): Subscription<Other> {
    // But for the key: two that are kept under one would each write over the other's place.
    const own = { ...this.#options, storageKey: undefined, ...options };
    const names = typeof channels === "string" ? [channels] : channels;
    const stop = new AbortController();
    const intake = new Intake(this.#url, names, own, () => {
      this.#intakes.delete(intake);
      this.#socket?.delete(intake);
      stop.abort();
    });
    this.#socket?.add(intake);
    this.#intakes.set(intake, stop);
    if (!this.#socket) void this.#openStream(intake, stop.signal);
    return intake as Subscription as Subscription<Other>;
  }

  /**
   * Resolves once the event is in the journal. After a reconnect it is sent again, with the same id, until then.
   * Rejects with StreamError: the server's code, `outbox_full`, `closed`, `needs_websocket`.
   */
  async publish(channel: string, data: unknown, { id = newId(), type }: PublishOptions = {}): Promise<Ack> {
    const told = await this.#ask({ type: "publish", channel, data, id, event: type });
    return { id, seq: told.seq, duplicate: told.duplicate === true };
  }

  /** Sends what is worth nothing a moment later (a cursor, typing), if there is a connection; nothing tells whether it arrived. */
  send(channel: string, data: unknown): void {
    this.#socket?.send({ type: "publish", channel, data });
  }

  /** Who is on the channel now. Rejects with StreamError. WebSocket only. */
  async presence(channel: string): Promise<Member[]> {
    return (await this.#ask({ type: "presence", channel })).members as Member[];
  }

  /** Ends all loops, and rejects what waits for its acknowledgement. */
  close(): void {
    this.#end();
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamEvent<Data>, undefined> {
    this.#first ??= this.subscribe([], this.#options);
    return this.#first[Symbol.asyncIterator]();
  }

  async #ask(message: Ask) {
    if (!this.#socket) throw new StreamError("needs_websocket");
    if (this.#stop.signal.aborted) throw new StreamError("closed");
    return await this.#socket.ask(message);
  }

  #openSocket(): Socket {
    const WebSocket = (this.#options.WebSocket ?? globalThis.WebSocket) as typeof globalThis.WebSocket;
    if (!WebSocket) throw new StreamError("no_websocket");
    const { signal } = this.#stop;
    const socket = new Socket({
      ...this.#options,
      url: this.#url,
      token: provider(this.#options.token),
      WebSocket,
    });
    // From the next turn on, when the program has its listeners.
    void Promise.resolve()
      .then(() =>
        keepConnected(
          (tell) => socket.dial(tell, signal),
          this.#backoff(),
          signal,
          (news) => this.#tell(news),
        ),
      )
      .then((error) => error && this.#end(error));
    return socket;
  }

  async #openStream(intake: Intake, signal: AbortSignal): Promise<void> {
    const options = { ...this.#options, url: this.#url, token: provider(this.#options.token) };
    await Promise.resolve();
    const error = await keepConnected(
      (tell) => dialSse(options, intake, tell, signal),
      this.#backoff(),
      signal,
      (news) => {
        intake.stand(news);
        this.#tell(news);
      },
    );
    if (!error) return;
    intake.end(error);
    this.#intakes.delete(intake);
    if (this.#intakes.size === 0) this.#end(error);
  }

  #backoff() {
    return { initial: 1000, max: 30_000, ...this.#options.backoff };
  }

  #tell(news: StatusNews): void {
    if (this.#status === "closed") return;
    this.#status = news.status;
    // A channel of a socket is live once the server has said so.
    if (this.#socket && news.status !== "live") for (const intake of this.#intakes.keys()) intake.stand(news);
    this.#news.emit("status", news);
  }

  #end(error?: StreamError): void {
    if (this.#status === "closed") return;
    this.#stop.abort();
    for (const [intake, stop] of this.#intakes) {
      stop.abort();
      intake.end(error);
    }
    this.#socket?.end(error ?? new StreamError("closed"));
    this.#tell({ status: "closed", error });
  }
}

function provider(token: ConnectOptions["token"]): (() => string | Promise<string>) | undefined {
  return typeof token === "string" ? () => token : token;
}

/** 128 random bits. (`crypto.randomUUID` is there in secure contexts only.) */
function newId(): string {
  return crypto.getRandomValues(new BigUint64Array(2)).join("-");
}
