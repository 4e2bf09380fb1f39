/** What the headers of a stream say of it: its id, at which line it begins, and whether its producer has failed. */
import { v7 as uuidv7 } from "uuid";
import { textOf } from "../../../event.ts";
import { badStreamHeader, type Refusal } from "../refusal.ts";
import { nameOf, type RawHeaders } from "../verify/scheme.ts";

/**
 * The request's id, by which a repeat resumes. Not `X-Request-Id`: proxies make it, and services hand it on to all they
 * call for one request, so that two streams could bear the same one and the later be dropped as a repeat.
 */
const ID_HEADERS = ["leat-request-id", "idempotency-key"] as const;

/** The number of the first line, where the producer begins after those that were accepted. */
export const FIRST_LINE = "leat-line";

/** In the trailers, or (where the producer's client has none) in the headers: why the producer failed. */
export const FAILED = "leat-failed";

/** With a line's number it has to fit into `limits.id`. */
const ID = /^[\x21-\x7e]{1,200}$/;
const LINE = /^[1-9]\d{0,14}$/;

/** Of what a producer says of its failure. */
const REASON_LENGTH = 1000;

export interface StreamName {
  readonly id: string;
  /** From 1. */
  readonly firstLine: number;
}

export function nameStream(raw: RawHeaders): { readonly name: StreamName } | { readonly refusal: Refusal } {
  let id: string | null = null;
  for (const header of ID_HEADERS) {
    // An Idempotency-Key is quoted, by its specification (a structured field), and seldom in practice.
    id ??= nameOf(raw, header)?.replace(/^"([^"]*)"$/, "$1") ?? null;
  }
  if (id !== null && !ID.test(id)) {
    return { refusal: badStreamHeader("The request's id is not 1 to 200 visible ASCII characters.") };
  }
  const line = nameOf(raw, FIRST_LINE);
  if (line !== null && !LINE.test(line)) {
    return { refusal: badStreamHeader(`${FIRST_LINE} is not the number of a line, from 1.`) };
  }
  return { name: { id: id ?? uuidv7(), firstLine: line === null ? 1 : Number(line) } };
}

/** Why the producer says it failed; null: it doesn't say so. */
export function failureOf(headers: RawHeaders, trailers: RawHeaders): string | null {
  const written = nameOf(trailers, FAILED) ?? nameOf(headers, FAILED);
  if (written === null) return null;
  return (textOf(Buffer.from(written, "latin1")) ?? written).slice(0, REASON_LENGTH);
}
