/** What went wrong with a request, as the words of `Report`. By codes and classes, never by the text of an error. */
import { errors } from "undici";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection_refused",
  ENOTFOUND: "dns",
  EAI_AGAIN: "dns",
  EAI_FAIL: "dns",
  EAI_NODATA: "dns",
  EAI_NONAME: "dns",
  ECONNRESET: "reset",
  EPIPE: "reset",
  ETIMEDOUT: "timeout",
  UND_ERR_CONNECT_TIMEOUT: "timeout",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  EACCES: "unreachable",
  EPERM: "unreachable",
  EPROTO: "tls",
  CERT_HAS_EXPIRED: "tls",
  CERT_NOT_YET_VALID: "tls",
  CERT_REVOKED: "tls",
  CERT_UNTRUSTED: "tls",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls",
  SELF_SIGNED_CERT_IN_CHAIN: "tls",
  UNABLE_TO_GET_ISSUER_CERT: "tls",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "tls",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls",
  UND_ERR_SOCKET: "closed",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: "closed",
  UND_ERR_HEADERS_OVERFLOW: "protocol",
  LEAT_ADDRESS_DENIED: "address_denied",
};

/** The code of an error, or of what caused it, or of the first of several tries to connect. */
function codeOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    if ("code" in at && typeof at.code === "string" && at.code !== "UND_ERR") return at.code;
    at = at instanceof AggregateError ? at.errors[0] : at.cause;
  }
  return "";
}

/** One of: `connection_refused`, `dns`, `tls`, `reset`, `timeout`, `closed`, `unreachable`, `protocol`, `address_denied`, `network`. */
export function failureWord(error: unknown): string {
  const code = codeOf(error);
  const word = WORDS[code];
  if (word !== undefined) return word;
  if (code.startsWith("ERR_TLS_") || code.startsWith("ERR_SSL_") || code.startsWith("ERR_OSSL_"))
    return "tls";
  return error instanceof errors.HTTPParserError ? "protocol" : "network";
}

/** undici refused to build the request: a header or a path with characters that HTTP can't carry. */
export function isUnsendable(error: unknown): boolean {
  return codeOf(error) === "UND_ERR_INVALID_ARG";
}

/**
 * `Retry-After` in milliseconds from now (RFC 9110, 10.2.3): seconds, or a date, which counts from the answer's own
 * `Date`, so that two clocks that disagree don't matter. Undefined where there is none that makes sense.
 */
export function retryAfterMs(
  value: string | undefined,
  date: string | undefined,
  now: number,
): number | undefined {
  if (value === undefined) return undefined;
  if (/^\s*\d{1,10}\s*$/.test(value)) return Number(value) * 1000;
  const until = httpDate(value);
  return until === null ? undefined : Math.max(0, until - (httpDate(date) ?? now));
}

/** An HTTP date in its preferred form (RFC 9110, 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`. */
function httpDate(value: string | undefined): number | null {
  if (
    value === undefined ||
    !/^\s*[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT\s*$/.test(value)
  ) {
    return null;
  }
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : time;
}
