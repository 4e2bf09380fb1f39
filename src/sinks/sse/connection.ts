/**
 * One reader's response that stays open. Its head goes out by Node's HTTP server, what follows straight to the socket:
 * the body ends with its connection and isn't chunked (RFC 9112, 6.3), so all readers of a message share its bytes.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { ChannelSelection } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Clock } from "../../ports.ts";
import type { Grants } from "../stream/access/admission.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { narrow } from "../stream/channels.ts";
import { SocketOutlet } from "../stream/outlet.ts";
import type { Gap } from "../stream/position.ts";
import type { Reader, ReaderOwner } from "../stream/reader.ts";
import {
  encodeBye,
  encodeGap,
  encodeHeartbeat,
  encodeHeartbeatEvent,
  encodeHello,
  encodeRevoked,
  type Leave,
} from "./frame.ts";

/** After the last word a connection is cut where its reader hasn't taken that. */
const LAST_WORD_MS = 3000;

export interface ConnectionOptions {
  readonly clock: Clock;
  /** For how long a reader is to stay away once its connection ends. */
  readonly retryMs: () => number;
  readonly onDefect: (error: unknown) => void;
}

export interface Opening {
  readonly selection: ChannelSelection;
  readonly position: Seq;
  readonly gap: Gap | null;
  /** Heartbeats are events, which a page's script sees. */
  readonly heartbeatEvents: boolean;
}

/**
 * The socket that the answer goes out on; null: it closed before. Behind another answer on its connection (pipelining)
 * it hasn't one yet.
 */
export async function socketOf(response: ServerResponse): Promise<ServerResponse["socket"]> {
  if (response.socket === null && !response.destroyed) {
    const closed = new AbortController();
    response.once("close", () => closed.abort());
    await once(response, "socket", { signal: closed.signal }).catch(() => {});
  }
  return response.destroyed ? null : response.socket;
}

export class SseConnection implements ReaderOwner {
  readonly reader: Reader;
  readonly #response: ServerResponse;
  readonly #outlet: SocketOutlet;
  readonly #options: ConnectionOptions;
  readonly #heartbeatEvents: boolean;
  #left = false;

  /** Sends the response's head. */
  constructor(
    response: ServerResponse,
    socket: NonNullable<ServerResponse["socket"]>,
    broadcast: Broadcast,
    { selection, position, gap, heartbeatEvents }: Opening,
    options: ConnectionOptions,
  ) {
    this.#response = response;
    this.#options = options;
    this.#heartbeatEvents = heartbeatEvents;
    this.#outlet = new SocketOutlet(socket);
    this.reader = broadcast.reader({ selection, position, outlet: this.#outlet, owner: this });
    socket.cork();
    response.removeHeader("transfer-encoding");
    response.flushHeaders();
    // Cut off between the two, a reader must not come back with a position behind a gap that it never heard of.
    this.#outlet.send(encodeHello(gap === null ? position : 0, options.retryMs()));
    if (gap !== null) this.#outlet.send(encodeGap(gap, position));
    // A script that opens its EventSources itself can't see the greeting's id, and would lose what comes until its first one.
    else if (heartbeatEvents) this.#outlet.send(encodeHeartbeatEvent(position));
    socket.uncork();
    this.reader.start();
  }

  heartbeat(): void {
    this.reader.tell(this.#heartbeatEvents ? encodeHeartbeatEvent : encodeHeartbeat);
  }

  /** Says `bye`, and ends. */
  leave(reason: Leave): void {
    if (this.#left) return;
    this.#left = true;
    const { clock, retryMs } = this.#options;
    this.reader.close();
    this.#outlet.send(encodeBye(reason, retryMs()));
    this.#response.end();
    const cancel = clock.after(LAST_WORD_MS, () => this.#response.destroy());
    this.#response.once("close", cancel);
  }

  /** Goes on with what is still open to it; `lost` is gone already. Says `bye` where nothing is left. */
  restrict(grants: Grants, lost: readonly string[] = []): void {
    const { kept, lost: more } = narrow(this.reader.selection, grants);
    const gone = [...lost, ...more];
    if (this.#left || gone.length === 0) return;
    if (more.length > 0) this.reader.select(kept);
    this.#outlet.send(encodeRevoked(gone));
    if (kept.exact.length === 0 && kept.patterns.length === 0) this.leave("revoked");
  }

  tooSlow(): void {
    this.leave("slow");
  }

  failed(error: unknown): void {
    this.#options.onDefect(error);
    this.#response.destroy();
  }
}
