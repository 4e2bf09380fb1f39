/** Where a reader's token is found in a request. Pure. */
import type { IncomingMessage } from "node:http";
import { plainPattern } from "../../../pattern.ts";
import { type Credential, headerOf } from "./admission.ts";

/** No token that anybody signs for a browser is longer; a header may not be much longer anyway. */
export const MAX_TOKEN_BYTES = 8 * 1024;

export interface CredentialRules {
  /** The cookie that holds the token; null: none. */
  readonly cookie: string | null;
  /** Also `?access_token=`. */
  readonly query: boolean;
  /** Headers that the judge is given. */
  readonly headers: readonly string[];
  readonly address: (request: IncomingMessage) => string;
}

/**
 * What the reader shows: `token` (a WebSocket's first message), else the `Authorization` header, else the cookie, else the
 * query where that is allowed.
 */
export function credentialOf(
  request: IncomingMessage,
  query: URLSearchParams,
  token: string | null,
  rules: CredentialRules,
): Credential {
  const shown =
    token ??
    bearerOf(headerOf(request, "authorization")) ??
    (rules.cookie === null ? null : cookieOf(headerOf(request, "cookie"), rules.cookie)) ??
    (rules.query ? query.get("access_token") : null);
  const headers: Record<string, string> = {};
  for (const name of rules.headers) {
    const value = headerOf(request, name);
    if (value !== null) headers[name] = value;
  }
  return {
    token: shown === "" ? null : shown,
    headers,
    origin: headerOf(request, "origin"),
    asked: askedChannels(query),
    address: rules.address(request),
    issuedAt: null,
  };
}

/** The channels that a query names, each in its one spelling: a judge that is asked of one must know it. */
export function askedChannels(query: URLSearchParams): string[] {
  return query.getAll("channel").map(plainPattern);
}

/** RFC 6750, 2.1. */
function bearerOf(header: string | null): string | null {
  return /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1] ?? null;
}

/** The first cookie of this name, as RFC 6265 (5.4) has browsers order them: that of the longest path. */
function cookieOf(header: string | null, name: string): string | null {
  for (const pair of (header ?? "").split(";")) {
    const at = pair.indexOf("=");
    if (at >= 0 && pair.slice(0, at).trim() === name) {
      return pair
        .slice(at + 1)
        .trim()
        .replace(/^"(.*)"$/, "$1");
    }
  }
  return null;
}
