/**
 * Errors are values with a meaning: a stable code for people and programs, a kind that steers the caller, and a hint
 * that says what to do. Nothing in Leat is classified by the text of an error.
 */

/**
 * What a caller should do about it.
 * - `configuration`: what the user wrote is wrong; exit 2.
 * - `refused`: this one input can't be taken; tell its sender.
 * - `unavailable`: not now; try again later.
 * - `damaged`: the journal can't be used as it is (damaged, locked, newer); exit 3.
 * - `storage`: the disk failed in a way that must not be retried inside this process; exit 4.
 * - `internal`: a defect or a broken environment; exit 1.
 */
export type ErrorKind = "configuration" | "refused" | "unavailable" | "damaged" | "storage" | "internal";

export const EXIT_CODE: Record<ErrorKind, number> = {
  configuration: 2,
  refused: 1,
  unavailable: 1,
  damaged: 3,
  storage: 4,
  internal: 1,
};

export interface LeatErrorOptions {
  /** What a person should do about it, one sentence. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** For `unavailable`: how long to wait before trying again, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** The one error class; `code` is stable, in lower snake case, and listed in docs/errors.md. */
export class LeatError extends Error {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(kind: ErrorKind, code: string, message: string, options: LeatErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "LeatError";
    this.kind = kind;
    this.code = code;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
  }
}
