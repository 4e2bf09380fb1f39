/**
 * The words of access: what a reader was let in with, and why one wasn't.
 *
 * A reader shows a *credential*; an authority (`auth:`) makes an *admission* of it: who it is, which channels it may join,
 * where it may publish, until when. While it is connected its admission is held by a *session*, which ends it when it
 * expires or is revoked, and renews it in place.
 */
import type { IncomingMessage } from "node:http";
import type { SlowPolicy } from "../backlog.ts";

/** What a token or the judge says of a reader. Never trusted further than a template puts it. */
export type Claims = Readonly<Record<string, unknown>>;

/** An entry of `channels`, its templates filled in. */
export interface ChannelGrant {
  /** A name or a pattern (`pattern.ts`); what came from a claim stands in it as a literal. */
  readonly name: string;
  /** Handed to those who are there, and neither journaled nor kept for those who aren't. */
  readonly ephemeral: boolean;
  /** Who is on the channel is shown to those who are. */
  readonly presence: boolean;
  /** Null: as the sink says. */
  readonly slow: SlowPolicy | null;
}

/** Which channels a reader may join: what a grant covers and nobody has revoked. */
export interface Grants {
  readonly channels: readonly ChannelGrant[];
  /**
   * Names (no patterns) that were revoked for this reader; a pattern that matches one isn't open to it either. Of a pattern that
   * a judge refused, a text that it matches (`sampleText`).
   */
  readonly denied: readonly string[];
}

/** What one reader may do. Plain data; made anew whenever the reader is judged again. */
export interface Admission extends Grants {
  /** Null where nobody said who it is (`none`, `bearer`). */
  readonly user: string | null;
  readonly claims: Claims;
  /** Wall clock, ms; null: it doesn't expire. */
  readonly expiresAt: number | null;
  /** Patterns of channels it may publish to; empty: none. */
  readonly publish: readonly string[];
}

/**
 * Why a reader isn't let in, or not let on.
 * - `missing`: it showed nothing that `auth` asks for. A WebSocket may still show it in its first message.
 * - `final`: waiting changes nothing: over SSE the status, over WebSocket a close code that isn't come back from.
 * - `later`: load, or a judge or key server that doesn't answer: over SSE a 200 that says `bye`, over WebSocket 1013.
 */
export interface Denial {
  readonly kind: "missing" | "final" | "later";
  /** Of an answer in plain HTTP. */
  readonly status: 400 | 401 | 403 | 421 | 429 | 503;
  /** As docs/errors.md lists it. */
  readonly code: string;
  /** For the client; holds nothing that it doesn't know. */
  readonly message: string;
  /** Of `later`: when to come back; the caller adds jitter. */
  readonly retryMs?: number;
  /** Lower snake case, for the log: `expired`, `audience`, `signature`, … */
  readonly reason?: string;
}

export type Verdict =
  | { readonly admitted: true; readonly admission: Admission; readonly credential: Credential }
  | { readonly admitted: false; readonly denial: Denial };

/** What a reader has shown, kept for judging it again. Reaches no log. */
export interface Credential {
  /** Null where none was shown in a form that we read (a judge may still know the reader by its headers). */
  readonly token: string | null;
  /** Those of the request's headers that the judge is given. */
  readonly headers: Readonly<Record<string, string>>;
  readonly origin: string | null;
  /** Channels that its request names: for the judge. */
  readonly asked: readonly string[];
  /** Where the reader is (`limits.ts`), not where a proxy is. */
  readonly address: string;
  /** When it was issued, as far as is known: wall clock, ms. What was revoked later is void. */
  readonly issuedAt: number | null;
}

/** Judges credentials: one for each type of `auth`. */
export interface Authority {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Never rejects. `fresh`: not from what was found before. */
  judge(credential: Credential, fresh: boolean): Promise<Judged>;
}

export type Judged =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly denial: Denial };

/** What an authority says of a reader, before the sink's `channels` are filled in with it. */
export interface Identity {
  readonly user: string | null;
  readonly claims: Claims;
  readonly expiresAt: number | null;
  readonly issuedAt: number | null;
  /** What a judge lists, within what the sink's own entries cover; null: it lists none, and those entries say. */
  readonly channels: readonly string[] | null;
  readonly publish: readonly string[] | null;
}

export const UNKNOWN: Identity = {
  user: null,
  claims: {},
  expiresAt: null,
  issuedAt: null,
  channels: null,
  publish: null,
};

export function missing(message: string): Denial {
  return { kind: "missing", status: 401, code: "unauthorized", message, reason: "missing" };
}

export function final(status: 400 | 401 | 403 | 421, code: string, message: string, reason?: string): Denial {
  return { kind: "final", status, code, message, ...(reason !== undefined && { reason }) };
}

export function later(status: 429 | 503, code: string, message: string, retryMs: number): Denial {
  return { kind: "later", status, code, message, retryMs };
}

/** The first of a header that came several times. */
export function headerOf({ headers }: IncomingMessage, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
