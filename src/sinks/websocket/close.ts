/** Why a connection is closed: the codes of docs/websocket.md, and what each tells the client to do. */

export interface CloseReason {
  readonly code: number;
  /** At most 123 bytes. */
  readonly reason: string;
}

/** Come back: the daemon restarts, or sends its readers elsewhere. */
export const RESTART: CloseReason = { code: 1012, reason: "restart" };
/** Come back after what `bye` said. */
export const LOAD: CloseReason = { code: 1013, reason: "load" };
/** 4000 to 4099: don't come back as you are. */
export const BAD_MESSAGE: CloseReason = { code: 4001, reason: "bad_message" };
export const FORBIDDEN: CloseReason = { code: 4003, reason: "forbidden" };
export const TOO_MUCH: CloseReason = { code: 4009, reason: "too_much" };
/** 4100 to 4199: come back, each time later. */
export const SLOW: CloseReason = { code: 4100, reason: "slow" };
export const EXPIRED: CloseReason = { code: 4101, reason: "expired" };
export const NO_ANSWER: CloseReason = { code: 4102, reason: "no_answer" };
export const NO_CONNECT: CloseReason = { code: 4103, reason: "no_connect" };
/** Only text is spoken here (RFC 6455, section 7.4.1). */
export const NOT_TEXT: CloseReason = { code: 1003, reason: "not_text" };
/** A defect of ours. */
export const DEFECT: CloseReason = { code: 1011, reason: "internal" };

/** After the close frame a connection is cut where the client doesn't close, in ms. */
export const CLOSE_CUT_MS = 3000;
