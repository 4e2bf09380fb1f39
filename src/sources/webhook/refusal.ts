/** Every way in which a webhook isn't taken: what its sender is told, and what is kept for the operator. */
import { LeatError } from "../../errors.ts";
import type { MoreHeaders } from "../../http/answer.ts";
import type { BodyFault } from "../../http/body.ts";
import { ENCODINGS, type UnpackFault } from "./unpack.ts";
import type { Fault } from "./verify/scheme.ts";

export interface Refusal {
  readonly status: number;
  readonly code: string;
  /** For the sender: the same for every forgery, whatever was wrong with it. */
  readonly message: string;
  readonly more: MoreHeaders;
  /** Null where nothing is lost: the sender is only asked to come back, or brought no event. */
  readonly kept: { readonly reason: string; readonly detail: string } | null;
}

function refusal(
  status: number,
  code: string,
  message: string,
  detail: string | null,
  more: MoreHeaders = [],
): Refusal {
  return { status, code, message, more, kept: detail === null ? null : { reason: code, detail } };
}

/** Of those that only ask for something (RFC 9110, 9.2.1): a person's browser, a probe. They bring no event. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

export function wrongMethod(method: string, allow: string): Refusal {
  const detail = SAFE.has(method) ? null : `method ${method}`;
  return refusal(405, "method_not_allowed", `Only ${allow} here.`, detail, ["allow", allow]);
}

export const WRONG_SUBJECT = refusal(
  400,
  "path",
  "The path is not percent-encoded UTF-8 without control characters.",
  "the path is not percent-encoded UTF-8 without control characters",
);

export function unknownEncoding(encoding: string, decompress: boolean): Refusal {
  const detail = `content-encoding ${encoding.slice(0, 64)}`;
  const accepted = ["accept-encoding", decompress ? ENCODINGS : "identity"];
  return refusal(415, "encoding", "This content encoding isn't taken here.", detail, accepted);
}

/** A forger mustn't learn what was wrong: one answer for all, with the challenge that RFC 9110 asks of a 401. */
export function forged({ reason, detail }: Fault, challenge: string | null): Refusal {
  const message = "The request doesn't prove that it comes from this endpoint's sender.";
  const more = challenge === null ? [] : ["www-authenticate", challenge];
  return { status: 401, code: "unauthorized", message, more, kept: { reason, detail } };
}

export function tooFast(waitMs: number): Refusal {
  return refusal(429, "rate", "Too many requests for this endpoint's rate.", "over the source's rate", [
    "retry-after",
    seconds(waitMs),
  ]);
}

export function notNow(reason: string, waitMs: number): Refusal {
  return refusal(503, "unavailable", `Not now: ${reason}.`, null, ["retry-after", seconds(waitMs)]);
}

/** When a sender should come back to a source that has too much coming in. */
const SOON_MS = 1000;

/** A client that went away (`aborted`) hears nothing, so it has no refusal. */
export function noBody(fault: Exclude<BodyFault, "aborted">, maxBytes: number): Refusal {
  if (fault === "crowded") return notNow("too many large bodies are coming in", SOON_MS);
  return refusal(
    413,
    "too_large",
    `The body is over ${maxBytes} bytes.`,
    `the body is over ${maxBytes} bytes`,
  );
}

export function notUnpacked(fault: UnpackFault): Refusal {
  if (fault === "malformed") {
    const detail = "the body doesn't unpack by its content-encoding";
    return refusal(400, "malformed_encoding", "The body doesn't unpack by its Content-Encoding.", detail);
  }
  return refusal(
    413,
    "too_large",
    "The body is too large when unpacked.",
    "the body is too large when unpacked",
  );
}

/** For how long, where the journal doesn't say. */
const LATER_MS = 5000;

/** What the journal's no means to a sender. What isn't a LeatError is a defect and goes on as it is. */
export function notAppended(error: unknown): Refusal {
  if (!(error instanceof LeatError) || error.kind === "internal") throw error;
  if (error.kind === "refused") return refusal(400, error.code, sentence(error.message), error.message);
  return notNow("the event can't be stored", error.retryAfterMs ?? LATER_MS);
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)));
}

// ------------------------------------------------------------------------------------------------- a stream of lines

export function badStreamHeader(message: string): Refusal {
  return refusal(400, "stream_header", message, "a header of the stream is not of its form");
}

export function tooManyStreams(): Refusal {
  return notNow("too many streams are coming in", SOON_MS);
}

export function crowdedLines(): Refusal {
  return notNow("too many long lines are coming in", SOON_MS);
}

/** Nothing is kept of these: what was accepted is there, and the producer knows what wasn't. */
export function tooSlow(idleMs: number): Refusal {
  return refusal(408, "timeout", `No line came for ${idleMs} ms.`, null);
}

export function superseded(): Refusal {
  return refusal(409, "superseded", "Another request with this id has taken the stream over.", null);
}

export function overTotal(): Refusal {
  const detail = "the stream is over its bound, as sent or unpacked";
  return refusal(413, "too_large", sentence(detail), detail);
}

export function malformed(): Refusal {
  return notUnpacked("malformed");
}

export function tooManyRefused(): Refusal {
  return refusal(400, "refused_lines", "Too many lines of the stream can't be taken: it was ended.", null);
}
