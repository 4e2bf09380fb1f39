/** Many channels over one WebSocket, in the subprotocol `leat.v1` (docs/websocket.md). */
import { type Ask, errorOf, Outbox, type Told } from "./outbox.ts";
import { type Ending, endingBy, Silence } from "./reconnect.ts";
import type { Intake } from "./subscription.ts";
import { parsed, type StatusNews, StreamError, type StreamEvent } from "./words.ts";

export interface SocketOptions {
  readonly url: string;
  /** For the `connect` message and to renew; asked anew each time. */
  readonly token?: (() => string | Promise<string>) | undefined;
  /** A one-use ticket for the URL; asked anew for each connection. */
  readonly ticket?: (() => string | Promise<string>) | undefined;
  readonly WebSocket: typeof WebSocket;
  /** Publishes and questions that may be unanswered; default 1000. */
  readonly outbox?: number | undefined;
}

/** One channel of a subscription, as the server knows it. */
interface Wire {
  readonly intake: Intake;
  readonly matches: RegExp;
  /** Of the `subscribe` that counts; 0: not asked for. Until it is answered nothing is taken. */
  ref: number;
  on: boolean;
}

/** With these the same thing would happen again; others that standards or proxies use are worth another try. */
const FINAL_CODES = [1002, 1003, 1007, 1008, 1009];

/** What a close asks of us: 4000-4099 stay away, 4200-4299 come back at once, all else with backoff. */
export function endingOf(code: number, reason: string, bye?: Ending): Ending {
  const word = `closed_${code}`;
  const hundreds = Math.floor(code / 100);
  if (hundreds === 40 || FINAL_CODES.includes(code)) {
    return { reason: word, error: new StreamError(word, reason || word) };
  }
  if (hundreds === 42) return { reason: reason || word, retryMs: 0 };
  return { reason: reason || "network", ...bye };
}

export class Socket {
  readonly #options: SocketOptions;
  readonly #outbox: Outbox;
  readonly #wires = new Map<string, Wire>();
  #socket: WebSocket | undefined;
  /** The server's word on why it ended what was asked last. */
  #refusal: Told | undefined;

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.outbox ?? 1000);
  }

  /**
   * StreamError `channel_missing`; `already_subscribed`: what is read already has it, or some of it. The server gives each
   * event once, so of two that overlap and are at different places neither could tell which events are its own.
   */
  add(intake: Intake): void {
    if (intake.channels.length === 0) throw new StreamError("channel_missing");
    for (const channel of intake.channels) {
      const pattern = patternOf(channel);
      for (const [name, { matches }] of this.#wires) {
        if (name === channel || matches.test(channel) || pattern.test(name)) {
          throw new StreamError("already_subscribed", name);
        }
      }
    }
    for (const channel of intake.channels) {
      const wire = { intake, matches: patternOf(channel), ref: 0, on: false };
      this.#wires.set(channel, wire);
      this.#subscribe(channel, wire);
    }
  }

  delete(intake: Intake): void {
    for (const [channel, wire] of this.#wires) {
      if (wire.intake !== intake) continue;
      this.#wires.delete(channel);
      this.send({ type: "unsubscribe", channel });
    }
  }

  ask(message: Ask): Promise<Told> {
    return this.#outbox.ask(message);
  }

  /** Sends what needs no answer, if there is a connection. */
  send(message: Ask): void {
    this.#socket?.send(JSON.stringify(message));
  }

  end(error: StreamError): void {
    this.#outbox.end(error);
    for (const { intake } of this.#wires.values()) intake.end(error);
  }

  async dial(tell: (news: StatusNews) => void, signal: AbortSignal): Promise<Ending> {
    const { WebSocket, token, ticket } = this.#options;
    const url = new URL(this.#options.url);
    if (ticket) url.searchParams.set("ticket", await ticket());
    if (signal.aborted) return { reason: "closed" };
    const socket = new WebSocket(url, "leat.v1");
    let bye: Ending | undefined;
    let renewal: ReturnType<typeof setTimeout> | undefined;
    return new Promise((resolve) => {
      let ended = false;
      const end = (ending: Ending) => {
        if (ended) return;
        ended = true;
        clearTimeout(renewal);
        silence.end();
        signal.removeEventListener("abort", onAbort);
        socket.close();
        this.#socket = undefined;
        this.#outbox.lost();
        for (const wire of this.#wires.values()) wire.on = false;
        resolve(ending);
      };
      const onAbort = () => end({ reason: "closed" });
      signal.addEventListener("abort", onAbort);
      // Not by waiting for the answer to a close: nobody may be there to give one.
      const silence = new Silence(undefined, () => end({ reason: "silent" }));
      const show = async (type: string) => {
        try {
          socket.send(JSON.stringify({ type, token: await token?.() }));
        } catch (error) {
          // One that can't be renewed now is good for a while yet.
          if (error instanceof StreamError || type === "connect") end(endingBy(error));
        }
      };
      socket.onopen = () => void (token && show("connect"));
      socket.onmessage = ({ data }: { readonly data: unknown }) => {
        if (ended) return;
        silence.heard();
        const told = parsed(String(data)) as Told;
        const { type, expires_in_ms: expiresMs } = told;
        if (type === "bye") bye = { reason: String(told.reason), retryMs: told.retry_ms };
        // It is said again when a token was renewed.
        if (type === "welcome" && !this.#socket) {
          silence.ms = Number(told.heartbeat_ms) * 2.5;
          this.#welcomed(socket);
          tell({ status: "live" });
        }
        if (token && expiresMs) {
          clearTimeout(renewal);
          renewal = setTimeout(() => void show("refresh"), Math.min(Number(expiresMs) * 0.75, 2 ** 31 - 1));
        }
        this.#take(told);
      };
      // An `error` is always followed by a `close`.
      socket.onerror = () => {};
      socket.onclose = ({ code, reason }) => {
        const ending = endingOf(code, reason, bye);
        end(ending.error && this.#refusal ? { ...ending, error: errorOf(this.#refusal) } : ending);
      };
    });
  }

  #welcomed(socket: WebSocket): void {
    this.#socket = socket;
    this.#refusal = undefined;
    for (const [channel, wire] of this.#wires) this.#subscribe(channel, wire);
    this.#outbox.open((text) => socket.send(text));
  }

  #subscribe(channel: string, wire: Wire): void {
    if (!this.#socket) return;
    wire.ref = this.#outbox.nextRef();
    this.send({ type: "subscribe", channel, since: wire.intake.place(channel).resume(), ref: wire.ref });
  }

  #take(told: Told): void {
    const { type, channel = "", seq } = told;
    const wire = this.#wires.get(channel);
    if (type === "event") this.#event(told);
    else if (type === "position") {
      for (const [name, { on, intake }] of this.#wires) if (on) intake.settle(name, seq as number);
    } else if (type === "subscribed") {
      if (!wire || wire.ref !== told.ref) return;
      wire.on = true;
      wire.intake.begin(channel, seq as number);
      wire.intake.stand({ status: "live" });
    } else if (type === "gap" || type === "dropped" || type === "join" || type === "leave") {
      for (const { matches, intake } of this.#wires.values()) {
        if (channel !== "" && !matches.test(channel)) continue;
        const tell = () => intake.emit(type, told as never);
        // Who comes and goes is told at once: it is no part of what a slow program may find waiting.
        if (type === "join" || type === "leave") tell();
        else intake.tell(tell);
      }
    } else if (this.#outbox.answer(told)) return;
    else if (type === "error" || (type === "unsubscribed" && told.code)) this.#refused(told, wire);
  }

  #event(told: Told): void {
    const { data_base64: base64, event: type, more, ...rest } = told;
    const { channel = "", seq } = rest;
    const news = { ...rest, type, base64 } as unknown as StreamEvent;
    for (const [name, wire] of this.#wires) {
      if (!wire.on || !wire.matches.test(channel)) continue;
      wire.intake.receive(name, seq ?? null, news, more ? 0 : seq);
      if (wire.intake.inbox.full) void this.#hold(wire.intake);
    }
  }

  /** Leaves the channels of a subscription until its program has made room, and goes on from there. */
  async #hold(intake: Intake): Promise<void> {
    const held = [...this.#wires].filter(([, wire]) => wire.intake === intake && wire.on);
    for (const [channel, wire] of held) {
      wire.on = false;
      wire.ref = 0;
      this.send({ type: "unsubscribe", channel });
    }
    await intake.inbox.room();
    for (const [channel, wire] of held) {
      if (this.#wires.get(channel) === wire && wire.ref === 0) this.#subscribe(channel, wire);
    }
  }

  /** An error that answers no question: of a subscription, or of the connection. */
  #refused(told: Told, wire: Wire | undefined): void {
    if (!wire) {
      this.#refusal = told;
      return;
    }
    const { type, channel = "", ref, retry_ms: retryMs } = told;
    const { intake } = wire;
    if (type === "error" && ref !== wire.ref) return;
    if (retryMs !== undefined) {
      setTimeout(() => wire.ref === ref && this.#subscribe(channel, wire), retryMs);
      return;
    }
    this.#wires.delete(channel);
    if ([...this.#wires.values()].some((other) => other.intake === intake)) {
      intake.emit("revoked", { channels: [channel] });
    } else intake.end(errorOf(told));
  }
}

/** `*` stays within a segment, `**` crosses, `\` makes the next character literal. */
export function patternOf(channel: string): RegExp {
  const source = channel.replace(/\\(.)|\*+|\W/gs, (part, literal = part) => {
    if (part[0] === "*") return part === "*" ? "[^./]*" : ".*";
    return `\\u${literal.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return new RegExp(`^${source}$`, "s");
}
