/**
 * What every way of verifying a webhook has in common. A scheme is prepared once per source (keys included) and then
 * only computes: no I/O, the time passed in, nothing thrown for anything a sender can cause.
 */
import { timingSafeEqual } from "node:crypto";

/** Headers as Node's parser hands them out: name, value, name, value, … each byte one character (latin1). */
export type RawHeaders = readonly string[];

/** Why a request isn't taken for its sender's. For the operator; the sender is told none of it. */
export interface Fault {
  /** Lower snake case; a refusal's reason and a metric's label. */
  readonly reason:
    | "signature_missing"
    | "signature_malformed"
    | "signature_wrong"
    | "signature_stale"
    | "signature_future"
    | "credentials";
  /** Never holds a secret or the signature that would have been right. */
  readonly detail: string;
}

/** What the scheme itself calls the event; null where it says nothing. */
export interface Naming {
  readonly id: string | null;
  readonly type: string | null;
}

export interface Scheme {
  /** Lower-case names of headers whose value is a secret: they are not stored. */
  readonly secretHeaders: readonly string[];
  /** `WWW-Authenticate` of the 401, where HTTP has a name for the scheme. */
  readonly challenge: string | null;
  /** Looks at headers only, so that a stranger's body needn't be read. */
  readonly beforeBody: boolean;
  /**
   * Null when the request is its sender's. `wire` is the body as it came, still packed if it was; empty where
   * `beforeBody`. `now` is the wall clock in ms.
   */
  check(headers: RawHeaders, wire: Uint8Array, now: number): Fault | null;
  /** `body` is the body as it will be stored. */
  name(headers: RawHeaders, body: Uint8Array): Naming;
}

export const UNNAMED: Naming = { id: null, type: null };

/** The value of a header; several of one name joined by ", " (RFC 9110, 5.2). Undefined where there is none. */
export function headerOf(headers: RawHeaders, lowerCaseName: string): string | undefined {
  let found: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] as string;
    if (name.length !== lowerCaseName.length || name.toLowerCase() !== lowerCaseName) continue;
    const value = headers[at + 1] as string;
    found = found === undefined ? value : `${found}, ${value}`;
  }
  return found;
}

/** A header that names something: undefined, empty and blank are all nothing. */
export function nameOf(headers: RawHeaders, lowerCaseName: string | null): string | null {
  if (lowerCaseName === null) return null;
  return headerOf(headers, lowerCaseName)?.trim() || null;
}

export type DigestEncoding = "hex" | "base64" | "base64url";

/** A digest as it was written, or null where it can't be one of `bytes` bytes. */
export function decodeDigest(written: string, encoding: DigestEncoding, bytes: number): Uint8Array | null {
  const length = encoding === "hex" ? bytes * 2 : Math.ceil(bytes / 3) * 4;
  // Unpadded base64 is let pass; what Buffer's decoders skip over shows by the length that is missing.
  if (written.length > length || written.length < bytes) return null;
  const digest = Buffer.from(written, encoding);
  return digest.length === bytes ? digest : null;
}

/** Whether any of the digests is the one expected. The time it takes tells only how many there are. */
export function anyEqual(given: readonly Uint8Array[], expected: Uint8Array): boolean {
  let equal = false;
  for (const digest of given) {
    if (digest.length === expected.length && timingSafeEqual(digest, expected)) equal = true;
  }
  return equal;
}

/** A top-level field of a JSON body, where it is text; null for all else. */
export function textField(body: unknown, name: string): string | null {
  if (typeof body !== "object" || body === null || !Object.hasOwn(body, name)) return null;
  const value = (body as Record<string, unknown>)[name];
  return typeof value === "string" && value !== "" ? value : null;
}

export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
  } catch {
    return undefined;
  }
}

export function fault(reason: Fault["reason"], detail: string): Fault {
  return { reason, detail };
}

/** The replay window: a fault where the time stamp (ms since 1970) lies further from now than `tolerance`. */
export function outsideWindow(signedAt: number, now: number, tolerance: number): Fault | null {
  const age = now - signedAt;
  const seconds = Math.round(Math.abs(age) / 1000);
  if (age > tolerance) return fault("signature_stale", `signed ${seconds} s ago by its time stamp`);
  if (age < -tolerance) return fault("signature_future", `signed ${seconds} s ahead by its time stamp`);
  return null;
}
