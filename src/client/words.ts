/** What the client's users see: events, what else they are told, and the errors with which things end. */

/** One event, as every transport gives it. */
export interface StreamEvent<Data = unknown> {
  /** The body: the value where it is JSON, else the text; bytes that are no text are base64 in `base64`. */
  readonly data: Data;
  /** Absent over SSE where several channels are read and the sink has no `envelope: true`. */
  readonly channel?: string | undefined;
  /** The journal's number of it. Absent for ephemeral events, and for all but the last of a group over plain SSE. */
  readonly seq?: number | undefined;
  readonly id?: string | undefined;
  readonly type?: string | undefined;
  /** RFC 3339, UTC. */
  readonly time?: string | undefined;
  readonly base64?: string | undefined;
  /** Handed round and kept nowhere. */
  readonly ephemeral?: true | undefined;
  /** Who published it, where the server says so. */
  readonly user?: string | null | undefined;
}

/** Part of what was missed is gone; what follows begins after `oldest`. */
export interface Gap {
  readonly channel?: string | undefined;
  readonly asked: number | string;
  readonly oldest: number;
  readonly newest: number;
}

/** The server left events out because this client was too slow for them. */
export interface Dropped {
  readonly channel?: string | undefined;
  readonly count: number;
  readonly through?: number;
}

export interface Member {
  /** Null: those of whom nobody said who they are. */
  readonly user: string | null;
  readonly connections: number;
}

export interface Presence {
  readonly channel: string;
  readonly user: string | null;
}

export interface Ack {
  readonly seq?: number | undefined;
  readonly id: string;
  /** It was there already: the repeat of a publish whose acknowledgement was lost. */
  readonly duplicate: boolean;
}

export type Status = "connecting" | "live" | "waiting" | "closed";

export interface StatusNews {
  readonly status: Status;
  /** Why it waits, such as `restart`, `load` or `network`. */
  readonly reason?: string;
  /** When it tries again, in ms; absent where the browser's EventSource decides. */
  readonly retryMs?: number | undefined;
  /** Why it is closed, unless `close()` was called. */
  readonly error?: StreamError | undefined;
}

/** Why a connection, a channel or a publish ended for good. `code` is the server's word, or one of docs/client.md. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly code: string;

  constructor(code: string, message = code) {
    super(message);
    this.code = code;
  }
}

/** The value where it is JSON, else the text. */
export function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return text;
  }
}
