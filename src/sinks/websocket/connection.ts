/**
 * One client's connection.
 *
 *   handshake ──► judged ──► welcome ──► open ──► closing ──► gone
 *                   └── shows nothing: waits for `connect`, 10 s at most
 *
 * What it says goes through its `Inbox`, one message after another, to `Entry` (may it?), `Memberships` (its channels) and
 * `Publishing`. What it is told goes to the socket past `ws`, so that what many are told is made once.
 */
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { Admission } from "../stream/access/admission.ts";
import type { Session } from "../stream/access/session.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { SocketOutlet } from "../stream/outlet.ts";
import { BAD_MESSAGE, type CloseReason, DEFECT, NO_ANSWER, NOT_TEXT } from "./close.ts";
import { type Entrance, Entry } from "./entry.ts";
import { PING_FRAME, pongFrame, textFrame } from "./frame.ts";
import { Inbox } from "./inbox.ts";
import type { Common, Line } from "./line.ts";
import { Memberships } from "./memberships.ts";
import * as say from "./messages.ts";
import { type ClientMessage, parseMessage } from "./parse.ts";
import { Publishing } from "./publishing.ts";

/** Heartbeats in a row without a sign of life; two, since the first may be late through a standstill of ours. */
const MOST_UNANSWERED = 2;

export interface ConnectionOptions {
  readonly common: Common;
  readonly broadcast: Broadcast;
  readonly entrance: Entrance;
  readonly socket: Socket;
  readonly webSocket: WebSocket;
}

export class Connection implements Line {
  readonly common: Common;
  readonly #webSocket: WebSocket;
  readonly #outlet: SocketOutlet;
  readonly #inbox: Inbox;
  readonly #memberships: Memberships;
  readonly #entry: Entry;
  readonly #publishing: Publishing;
  #closing = false;
  #unanswered = 0;

  constructor({ common, broadcast, entrance, socket, webSocket }: ConnectionOptions) {
    this.common = common;
    this.#webSocket = webSocket;
    const outlet = new SocketOutlet(socket);
    const inbox = new Inbox({ line: this, outlet, socket, webSocket, take: (text) => this.#heed(text) });
    const memberships = new Memberships(this, broadcast, outlet, socket);
    const { counters } = broadcast;
    this.#outlet = outlet;
    this.#inbox = inbox;
    this.#memberships = memberships;
    this.#entry = new Entry({ line: this, inbox, memberships, entrance, counters });
    this.#publishing = new Publishing(this, inbox);
    webSocket.on("message", (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    webSocket.on("ping", (data: Buffer) => this.#answerPing(data));
    webSocket.on("pong", () => this.#takePong());
  }

  get closing(): boolean {
    return this.#closing;
  }

  get admission(): Admission | null {
    return this.#entry.session?.admission ?? null;
  }

  get user(): string | null {
    return this.admission?.user ?? null;
  }

  /** Judges what the request showed. Resolves with true where nothing was: then it waits for `connect`. */
  begin(): Promise<boolean> {
    return this.#entry.begin();
  }

  /** Its deadline for `connect` is over. */
  late(): void {
    this.#entry.late();
  }

  // --------------------------------------------------------------------------------------------------------- telling

  tell(text: string): void {
    if (this.#closing) return;
    this.#memberships.flush();
    this.#outlet.send(textFrame(text));
  }

  refuse(failure: say.Failure): void {
    this.common.onRefused();
    this.tell(say.error(failure));
  }

  /** One who is slow misses it. */
  offer(frame: Buffer): void {
    if (!this.#closing && !this.#outlet.full()) this.#outlet.send(frame);
  }

  /** Its turn on the wheel: tells its position, and asks whether it is there. */
  visit(): void {
    if (this.#closing || this.#entry.session === null) return;
    this.#memberships.merge();
    if (this.#outlet.full()) return;
    // What it answered isn't read while it has to wait.
    if (!this.#webSocket.isPaused && this.#unanswered++ >= MOST_UNANSWERED) {
      this.close(NO_ANSWER);
      return;
    }
    this.#memberships.flush();
    const position = this.#memberships.position();
    this.#outlet.send(position === null ? PING_FRAME : this.common.positionFrame(position));
  }

  close(reason: CloseReason, bye: say.ByeReason | null = null, leastMs?: number): void {
    if (this.#closing) return;
    if (bye !== null) this.tell(say.bye(bye, this.common.retryMs(leastMs)));
    this.#memberships.flush();
    this.#leave();
    // Its close frame is behind what it said last.
    if (this.#webSocket.isPaused) this.#webSocket.resume();
    this.#webSocket.close(reason.code, reason.reason);
  }

  failed(err: unknown): void {
    this.common.log.error({ err }, "a stream's reader failed");
    this.close(DEFECT);
  }

  cut(): void {
    this.#webSocket.terminate();
  }

  /** The socket is gone. What came whole before that counts. */
  gone(): void {
    if (!this.#closing) {
      for (const text of this.#inbox.rest()) if (this.#entry.session !== null) this.#heed(text);
    }
    this.#leave();
  }

  #leave(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#inbox.close();
    this.#memberships.leave();
    this.#entry.leave();
  }

  // ------------------------------------------------------------------------------------------------------- listening

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closing) return;
    this.#unanswered = 0;
    if (isBinary) this.close(NOT_TEXT);
    else this.#inbox.receive(data);
  }

  #heed(text: string): void {
    try {
      this.#take(text);
    } catch (error) {
      this.failed(error);
    }
  }

  #take(text: string): void {
    this.#inbox.count();
    const message = parseMessage(text, this.common);
    if (message.type === "bad") {
      const { code, message: why, ref, channel, hopeless } = message;
      this.refuse({ code, message: why, ref, channel });
      if (hopeless) this.close(BAD_MESSAGE);
      return;
    }
    const { session } = this.#entry;
    if (session !== null) this.#handle(message, session);
    else if (message.type === "connect") this.#entry.connect(message.token);
    else {
      const why = "The first message is connect, with a token.";
      this.refuse({ code: "not_connected", message: why, ref: message.ref });
    }
  }

  #handle(message: ClientMessage, session: Session): void {
    switch (message.type) {
      case "ping":
        this.tell(say.pong(message.ref));
        return;
      case "connect":
      case "refresh":
        this.#entry.renew(session, message.token, message.ref);
        return;
      case "subscribe":
        this.#entry.judged(session, "subscribe", message, () => {
          this.#memberships.subscribe(message, session.admission);
        });
        return;
      case "unsubscribe":
        this.#memberships.unsubscribe(message.channel, message.ref);
        return;
      case "publish":
        this.#entry.judged(session, "publish", message, () => this.#publishing.publish(message, session));
        return;
      case "presence":
        this.#tellPresence(message, session);
    }
  }

  /** To one who is on the channel, or might be. */
  #tellPresence(
    message: Extract<ClientMessage, { type: "unsubscribe" | "presence" }>,
    session: Session,
  ): void {
    const { channel, ref } = message;
    const tell = () => this.#memberships.tellPresence(channel, session.admission, ref);
    if (this.#memberships.isOn(channel)) tell();
    else this.#entry.judged(session, "subscribe", message, tell);
  }

  #answerPing(data: Buffer): void {
    if (this.#closing) return;
    this.#unanswered = 0;
    this.#inbox.count();
    // One who pings without taking the answers gets none, as with all that may be missed.
    this.offer(pongFrame(data));
    this.#inbox.work();
  }

  #takePong(): void {
    const asked = this.#unanswered > 0;
    this.#unanswered = 0;
    // One that we asked for is free.
    if (asked || this.#closing) return;
    this.#inbox.count();
    this.#inbox.work();
  }
}
