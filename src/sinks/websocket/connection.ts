/**
 * One client's connection.
 *
 *   handshake ──► judged ──► welcome ──► open ──► closing ──► gone
 *                   └── shows nothing: waits for `connect`, 10 s at most
 *
 * What the client says is taken one message after another; while that must wait (it is being judged, too much of it isn't
 * on disk yet, it says more than its rate, or takes no answers) nothing more is read from its socket. What it is told goes
 * to the socket past `ws`, so that what many are told is made once.
 */
import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { Rate } from "../../plan.ts";
import type { Clock, Logger } from "../../ports.ts";
import { TokenBucket } from "../../token-bucket.ts";
import type { Entered } from "../stream/access/access.ts";
import type { Admission, Denial, Verdict } from "../stream/access/admission.ts";
import type { Session, SessionEnd, SessionOwner } from "../stream/access/session.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { grantOf } from "../stream/channels.ts";
import { SocketOutlet } from "../stream/outlet.ts";
import {
  BAD_MESSAGE,
  type CloseReason,
  DEFECT,
  EXPIRED,
  FORBIDDEN,
  LOAD,
  NO_ANSWER,
  NO_CONNECT,
  NOT_TEXT,
  SLOW,
  TOO_MUCH,
} from "./close.ts";
import type { Crowd } from "./crowd.ts";
import { PING_FRAME, pongFrame, textFrame } from "./frame.ts";
import { JoinedChannels } from "./joined-channels.ts";
import * as say from "./messages.ts";
import { type ClientMessage, parseMessage } from "./parse.ts";
import type { Publication, Publisher } from "./publisher.ts";

/** Publications of one client that may wait for the disk at once. */
const MOST_APPENDING = 32;

/**
 * Bytes of what one client has said and must wait, beyond two messages. That is what was read of its socket before it was
 * paused, some 64 KiB; only what comes compressed, up to a thousand times smaller, can be more.
 */
const MOST_WAITING = 2 ** 20;

/** Heartbeats in a row without a sign of life; two, since the first may be late through a standstill of ours. */
const MOST_UNANSWERED = 2;

/** What all connections of a sink share. */
export interface Common {
  readonly clock: Clock;
  readonly log: Logger;
  readonly publisher: Publisher;
  readonly crowd: Crowd;
  readonly heartbeatMs: number;
  readonly messageRate: Rate;
  readonly publishRate: Rate;
  readonly maxMessageBytes: number;
  readonly maxChannels: number;
  readonly channelBytes: number;
  retryMs(leastMs?: number): number;
  /** A frame that tells a position: the same for all who are told it now. */
  positionFrame(seq: number): Buffer;
  /** A message came that was none, or that the client may not send. */
  onRefused(): void;
}

/** What lets this client in: made for its request. */
export interface Entrance {
  admit(token: string | null): Promise<Verdict>;
  enter(verdict: Extract<Verdict, { admitted: true }>, owner: SessionOwner): Entered;
}

export interface ConnectionOptions {
  readonly common: Common;
  readonly broadcast: Broadcast;
  readonly entrance: Entrance;
  readonly socket: Socket;
  readonly webSocket: WebSocket;
}

export class Connection implements SessionOwner {
  readonly #common: Common;
  readonly #broadcast: Broadcast;
  readonly #socket: Socket;
  readonly #webSocket: WebSocket;
  readonly #outlet: SocketOutlet;
  readonly #joined: JoinedChannels;
  /** Null once it is let in: it holds the request. */
  #entrance: Entrance | null;
  #session: Session | null = null;
  #closing = false;
  #inbox: string[] = [];
  #inboxBytes = 0;
  #judging = false;
  #appending = 0;
  /** It waits for its rate, or for the socket to take what it was told. */
  #waiting: (() => void) | null = null;
  #messages: TokenBucket | null = null;
  #publications: TokenBucket | null = null;
  #refs: Map<string, say.Ref> | null = null;
  #unanswered = 0;

  constructor({ common, broadcast, entrance, socket, webSocket }: ConnectionOptions) {
    this.#common = common;
    this.#broadcast = broadcast;
    this.#entrance = entrance;
    this.#socket = socket;
    this.#webSocket = webSocket;
    this.#outlet = new SocketOutlet(socket);
    this.#joined = new JoinedChannels(broadcast, this.#outlet, this);
    webSocket.on("message", (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary));
    webSocket.on("ping", (data: Buffer) => this.#answerPing(data));
    webSocket.on("pong", () => this.#takePong());
  }

  get closing(): boolean {
    return this.#closing;
  }

  get user(): string | null {
    return this.#session?.admission.user ?? null;
  }

  /** Judges what the request showed. Resolves with true where nothing was: then it waits for `connect`. */
  async begin(): Promise<boolean> {
    return (await this.#enter(null)) === "missing";
  }

  // --------------------------------------------------------------------------------------------------------- telling

  /** In order with its events. */
  tell(text: string): void {
    if (this.#closing) return;
    this.#joined.flush();
    this.#outlet.send(textFrame(text));
  }

  /** Something that may be missed: one who is slow does. */
  offer(frame: Buffer): void {
    if (!this.#closing && !this.#outlet.full()) this.#outlet.send(frame);
  }

  /** Its turn on the wheel: tells its position, and asks whether it is there. */
  visit(): void {
    if (this.#closing || this.#session === null) return;
    this.#joined.merge();
    if (this.#outlet.full()) return;
    // What it answered isn't read while it has to wait.
    if (!this.#webSocket.isPaused && this.#unanswered++ >= MOST_UNANSWERED) {
      this.close(NO_ANSWER);
      return;
    }
    this.#joined.flush();
    const { published } = this.#broadcast.feed;
    const position = this.#joined.size === 0 ? published : this.#joined.position();
    this.#outlet.send(position === null ? PING_FRAME : this.#common.positionFrame(position));
  }

  /** Says goodbye where there is something to say about coming back, and closes. */
  close(reason: CloseReason, bye: say.ByeReason | null = null, leastMs?: number): void {
    if (this.#closing) return;
    if (bye !== null) this.tell(say.bye(bye, this.#common.retryMs(leastMs)));
    this.#joined.flush();
    this.#leave();
    // Its close frame is behind what it said last.
    if (this.#webSocket.isPaused) this.#webSocket.resume();
    this.#webSocket.close(reason.code, reason.reason);
  }

  cut(): void {
    this.#webSocket.terminate();
  }

  /** The socket is gone. What came whole before that counts. */
  gone(): void {
    if (!this.#closing) {
      const inbox = this.#inbox.splice(0);
      for (const text of inbox) if (this.#session !== null) this.#take(text);
    }
    this.#leave();
  }

  #leave(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#inbox = [];
    this.#entrance = null;
    this.#waiting?.();
    for (const name of this.#joined.names()) this.#common.crowd.leave(name, this);
    this.#joined.close();
    this.#session?.close();
  }

  // -------------------------------------------------------------------------------------------------------- let in

  async #enter(token: string | null): Promise<"entered" | "missing" | "denied"> {
    const entrance = this.#entrance;
    if (entrance === null) return "denied";
    this.#judging = true;
    const verdict = await entrance.admit(token);
    this.#judging = false;
    if (this.#closing) return "denied";
    if (!verdict.admitted && verdict.denial.kind === "missing" && token === null) {
      this.#work();
      return "missing";
    }
    const entered = verdict.admitted
      ? entrance.enter(verdict, this)
      : { entered: false as const, denial: verdict.denial };
    if (!entered.entered) {
      this.#deny(entered.denial);
      return "denied";
    }
    this.#session = entered.session;
    this.#entrance = null;
    this.#welcome(entered.session.admission);
    this.#work();
    return "entered";
  }

  #welcome({ user, expiresAt }: Admission, ref?: say.Ref): void {
    const { clock, heartbeatMs } = this.#common;
    const expiresInMs = expiresAt === null ? null : Math.max(0, Math.round(expiresAt - clock.wall()));
    this.tell(say.welcome({ user, expiresInMs, heartbeatMs }, ref));
  }

  #deny({ kind, code, message, retryMs }: Denial): void {
    if (kind === "later") {
      this.#broadcast.counters.refused++;
      this.close(LOAD, "load", retryMs);
      return;
    }
    this.tell(say.error({ code, message }));
    this.close(FORBIDDEN);
  }

  /** Its deadline for `connect` is over. */
  late(): void {
    if (this.#session === null && !this.#judging) this.close(NO_CONNECT);
  }

  changed(admission: Admission): void {
    for (const name of this.#joined.names()) {
      if (grantOf(admission, name) !== null) continue;
      this.#unsubscribe(name);
      this.tell(say.unsubscribed(name, undefined, "revoked"));
    }
  }

  onChannels(): Iterable<string> {
    return this.#joined.names();
  }

  ended(why: SessionEnd): void {
    if (why === "expired") this.close(EXPIRED, "expired");
    else {
      this.tell(say.error({ code: "revoked", message: "What this user may read was revoked." }));
      this.close(FORBIDDEN);
    }
  }

  // ------------------------------------------------------------------------------------------------------- listening

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closing) return;
    this.#unanswered = 0;
    if (isBinary) {
      this.close(NOT_TEXT);
      return;
    }
    this.#inbox.push(data.toString());
    this.#inboxBytes += data.byteLength;
    this.#work();
    if (this.#inboxBytes > 2 * this.#common.maxMessageBytes + MOST_WAITING) this.close(TOO_MUCH);
  }

  /** Takes what has come as far as nothing has to be waited for. */
  #work(): void {
    this.#socket.cork();
    while (this.#inbox.length > 0 && !this.#closing && !this.#mustWait()) {
      const text = this.#inbox.shift() as string;
      this.#inboxBytes = this.#inbox.length === 0 ? 0 : this.#inboxBytes - Buffer.byteLength(text);
      this.#take(text);
    }
    this.#socket.uncork();
    if (this.#closing) return;
    const paused = this.#inbox.length > 0 || this.#mustWait();
    if (paused && !this.#webSocket.isPaused) this.#webSocket.pause();
    else if (!paused && this.#webSocket.isPaused) this.#webSocket.resume();
  }

  #mustWait(): boolean {
    if (this.#judging || this.#waiting !== null || this.#appending >= MOST_APPENDING) return true;
    if (this.#outlet.full()) {
      let over = false;
      this.#waiting = () => {
        over = true;
        this.#waiting = null;
      };
      void this.#outlet.drained().then(() => {
        if (over) return;
        this.#waiting = null;
        this.#work();
      });
      return true;
    }
    const { clock } = this.#common;
    const waitMs = this.#messages?.waitMs(clock.monotonic()) ?? 0;
    if (waitMs === 0) return false;
    const cancel = clock.after(waitMs, () => {
      this.#waiting = null;
      this.#work();
    });
    this.#waiting = () => {
      cancel();
      this.#waiting = null;
    };
    return true;
  }

  #take(text: string): void {
    this.#count();
    const message = parseMessage(text, this.#common);
    if (message.type === "bad") {
      this.#common.onRefused();
      const { code, message: why, ref, channel } = message;
      this.tell(say.error({ code, message: why, ref, channel }));
      if (message.hopeless) this.close(BAD_MESSAGE);
      return;
    }
    if (this.#session === null) this.#beforeEntering(message);
    else this.#handle(message, this.#session);
  }

  #beforeEntering(message: ClientMessage): void {
    if (message.type === "connect") {
      void this.#enter(message.token);
      return;
    }
    this.#refuse("not_connected", "The first message is connect, with a token.", message.ref);
  }

  #handle(message: ClientMessage, session: Session): void {
    switch (message.type) {
      case "ping":
        this.tell(say.pong(message.ref));
        return;
      case "connect":
      case "refresh":
        void this.#renew(session, message.token, message.ref);
        return;
      case "subscribe":
        this.#judged(session, "subscribe", message, () => this.#subscribe(message, session));
        return;
      case "unsubscribe":
        this.#unsubscribe(message.channel);
        this.tell(say.unsubscribed(message.channel, message.ref));
        return;
      case "publish":
        this.#judged(session, "publish", message, () => this.#publish(message, session));
        return;
      case "presence":
        this.#tellPresence(message.channel, session, message.ref);
    }
  }

  async #renew(session: Session, token: string, ref?: say.Ref): Promise<void> {
    this.#judging = true;
    const denial = await session.renew(token);
    this.#judging = false;
    if (this.#closing) return;
    if (denial === null) this.#welcome(session.admission, ref);
    else this.#refuse(denial.code, denial.message, ref);
    this.#work();
  }

  /** Does it, once the judge has said yes where one wants to be asked. */
  #judged(
    session: Session,
    action: "subscribe" | "publish",
    { channel, ref }: { readonly channel: string; readonly ref?: say.Ref },
    doIt: () => void,
  ): void {
    const asked = session.ask(action, channel);
    if (asked === null) {
      doIt();
      return;
    }
    this.#judging = true;
    void asked.then((denial) => {
      this.#judging = false;
      if (this.#closing) return;
      if (denial === null) doIt();
      else this.#refuse(denial.code, denial.message, ref, channel);
      this.#work();
    });
  }

  #refuse(code: string, message: string, ref?: say.Ref, channel?: string): void {
    this.#common.onRefused();
    this.tell(say.error({ code, message, ref, channel }));
  }

  // -------------------------------------------------------------------------------------------------------- channels

  #subscribe(message: Extract<ClientMessage, { type: "subscribe" }>, { admission }: Session): void {
    const { channel, since, ref } = message;
    if (this.#joined.has(channel)) {
      const position = this.#joined.position() ?? this.#broadcast.feed.published;
      this.tell(say.subscribed(channel, position, ref));
      return;
    }
    const { maxChannels } = this.#common;
    if (this.#joined.size >= maxChannels) {
      const message = `A connection has at most ${maxChannels} channels; a pattern may do.`;
      this.#refuse("too_many_channels", message, ref, channel);
      return;
    }
    if (grantOf(admission, channel) === null) {
      this.#refuse("channel_not_allowed", "This channel isn't open to this client.", ref, channel);
      return;
    }
    if (ref !== undefined) (this.#refs ??= new Map()).set(channel, ref);
    this.#joined.join(channel, since);
  }

  joined(names: readonly string[], position: number, gap: Parameters<typeof say.gap>[0] | null): void {
    this.#socket.cork();
    for (const name of names) {
      this.tell(say.subscribed(name, position, this.#refOf(name)));
      if (gap !== null) this.tell(say.gap(gap, name));
      const grant = this.#session && grantOf(this.#session.admission, name);
      if (grant) this.#common.crowd.enter(name, grant, this);
    }
    this.#socket.uncork();
  }

  notJoined(names: readonly string[], err: unknown): void {
    this.#common.log.error({ err }, "a stream's history could not be read");
    for (const name of names) {
      const message = "Its history can't be read now; try again in a moment.";
      this.tell(
        say.error({ code: "unavailable", message, ref: this.#refOf(name), channel: name, retry_ms: 5000 }),
      );
    }
  }

  tooSlow(): void {
    this.close(SLOW, "slow");
  }

  failed(err: unknown): void {
    this.#common.log.error({ err }, "a stream's reader failed");
    this.close(DEFECT);
  }

  #refOf(name: string): say.Ref | undefined {
    const ref = this.#refs?.get(name);
    this.#refs?.delete(name);
    if (this.#refs?.size === 0) this.#refs = null;
    return ref;
  }

  #unsubscribe(name: string): void {
    if (!this.#joined.has(name)) return;
    this.#joined.leave(name);
    this.#refs?.delete(name);
    this.#common.crowd.leave(name, this);
  }

  #tellPresence(channel: string, { admission }: Session, ref?: say.Ref): void {
    const grant = grantOf(admission, channel);
    if (grant === null) {
      this.#refuse("channel_not_allowed", "This channel isn't open to this client.", ref, channel);
    } else if (!grant.presence) {
      this.#refuse("no_presence", "Nobody is told who is on this channel.", ref, channel);
    } else {
      const { members, more } = this.#common.crowd.members(channel);
      this.tell(say.presence(channel, members, more, ref));
    }
  }

  // ------------------------------------------------------------------------------------------------------ publishing

  #publish(publication: Publication, { admission, credential }: Session): void {
    const { clock, publisher, publishRate, crowd } = this.#common;
    const { channel, ref, data, event } = publication;
    const now = clock.monotonic();
    this.#publications ??= TokenBucket.ofSource(publishRate, now);
    const author = { admission, address: credential.address };
    const failure = publisher.refusal(publication, author, this.#publications.waitMs(now));
    if (failure !== null) {
      this.#common.onRefused();
      this.tell(say.error({ ...failure, ref, channel }));
      return;
    }
    this.#publications.take();
    if (publisher.isEphemeral(admission, channel)) {
      crowd.handRound(channel, say.ephemeral(channel, data, admission.user, event ?? undefined), this);
      if (ref !== undefined) this.tell(say.ephemeralAck(ref));
      return;
    }
    this.#appending++;
    void publisher.append(publication, author).then(
      ({ seq, id, duplicate, differs }) => {
        if (ref !== undefined) this.tell(say.ack({ ref, seq, id, duplicate, differs }));
        this.#appended();
      },
      (error: unknown) => {
        this.tell(say.error({ ...publisher.failure(error), ref, channel }));
        this.#appended();
      },
    );
  }

  #appended(): void {
    const waited = this.#appending-- >= MOST_APPENDING;
    if (waited) this.#work();
  }

  /** Against its rate. */
  #count(): void {
    const { clock, messageRate } = this.#common;
    this.#messages ??= TokenBucket.ofSource(messageRate, clock.monotonic());
    this.#messages.take();
  }

  /** One that we asked for is free. */
  #takePong(): void {
    const asked = this.#unanswered > 0;
    this.#unanswered = 0;
    if (asked || this.#closing) return;
    this.#count();
    this.#work();
  }

  #answerPing(data: Buffer): void {
    if (this.#closing) return;
    this.#unanswered = 0;
    this.#count();
    // One who pings without taking the answers gets none, as with all that may be missed.
    this.offer(pongFrame(data));
    this.#work();
  }
}
