/**
 * Who may use the admin listener.
 *
 * - The `Host` must be this machine's loopback or be listed in `server.admin_hosts`: a page on the internet that has
 *   its own name point at 127.0.0.1 (DNS rebinding) is turned away.
 * - With a token set (off loopback `validate` insists on one), a request needs it as `Authorization: Bearer`, or the cookie that the
 *   login form gives for it.
 * - What changes something needs a JSON content type, which no foreign page can send unasked, and where a browser says
 *   its `Origin`, that must be ours.
 *
 * Probes and /metrics are exempt: they come by the pod's address, without a token, and tell nothing that is secret.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { hostName } from "../http/host.ts";
import type { Settings } from "../plan.ts";
import type { Clock } from "../ports.ts";

/** Why a request is turned away; null where it isn't. */
export interface Denial {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly retryAfterS?: number;
}

export interface Access {
  /** By `Host` alone: for the login page, which has to be reachable without a token. */
  host(request: IncomingMessage): Denial | null;
  /** By token or cookie. */
  token(request: IncomingMessage): Denial | null;
  /** A request that changes something: from where, and (unless it is a form) of which type. */
  change(request: IncomingMessage, form?: "form"): Denial | null;
  /** Tries a token from the login form: the cookie's `Set-Cookie`, or why not. */
  login(request: IncomingMessage, token: string): { readonly cookie: string } | Denial;
}

const COOKIE = "leat_admin";
/** A day at work, and then the token again. */
const COOKIE_S = 12 * 60 * 60;

export function createAccess(server: Settings["server"], clock: Clock): Access {
  const { adminToken: expected } = server;
  const hosts = new Set(["127.0.0.1", "localhost", "[::1]", ...server.adminHosts.map(hostName)]);
  const failures = createThrottle(clock);

  /** The right token always opens: those who guess from behind the same proxy or NAT can't lock anyone out. */
  function wrong(request: IncomingMessage): Denial {
    const address = addressOf(request);
    const wait = failures.wait(address);
    if (wait !== null) return wait;
    failures.count(address);
    return UNAUTHORIZED;
  }

  return {
    host(request) {
      if (hosts.has(hostName(request.headers.host ?? ""))) return null;
      return {
        status: 421,
        code: "host_not_allowed",
        message: "The request's Host is not one that the admin listener answers to.",
        hint: "Use 127.0.0.1 or localhost, or list the name in server.admin_hosts.",
      };
    },

    token(request) {
      if (expected === null) return null;
      const sent = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
      if (sent !== undefined) return same(sent, expected) ? null : wrong(request);
      const cookie = cookieOf(request);
      // No failure is counted: a cookie that has run out is no guess, and its signature can't be guessed.
      if (cookie !== null && cookieHolds(cookie, expected, clock.wall())) return null;
      return UNAUTHORIZED;
    },

    change(request, form) {
      const { origin, host } = request.headers;
      if (origin !== undefined && !sameOrigin(origin, host ?? "")) {
        return {
          status: 403,
          code: "foreign_origin",
          message: "The request comes from another site's page.",
        };
      }
      const type = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
      if (form === "form" || type === "application/json") return null;
      return {
        status: 415,
        code: "json_only",
        message: "A request that changes something must have the content type application/json.",
      };
    },

    login(request, token) {
      if (expected === null || !same(token, expected)) return wrong(request);
      const value = cookieFor(expected, Math.floor(clock.wall() / 1000) + COOKIE_S);
      return { cookie: `${COOKIE}=${value}; Path=/; Max-Age=${COOKIE_S}; HttpOnly; SameSite=Strict` };
    },
  };
}

const UNAUTHORIZED: Denial = {
  status: 401,
  code: "unauthorized",
  message: "The admin token is missing or wrong.",
  hint: "Send `Authorization: Bearer <server.admin_token>`, or log in at /login.",
};

function addressOf(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? "";
}

function sameOrigin(origin: string, host: string): boolean {
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** In constant time, whatever their lengths. */
function same(left: string, right: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}

// ---------------------------------------------------------------------------------------------------------- the cookie

/** `<expiry, s since 1970>.<HMAC of it by the token>`: holds over a restart, and a new token ends them all. */
function cookieFor(token: string, expires: number): string {
  return `${expires}.${createHmac("sha256", token).update(`leat admin ${expires}`).digest("base64url")}`;
}

function cookieHolds(cookie: string, token: string, now: number): boolean {
  const expires = Number(cookie.split(".")[0]);
  return Number.isSafeInteger(expires) && expires * 1000 > now && same(cookie, cookieFor(token, expires));
}

function cookieOf(request: IncomingMessage): string | null {
  for (const part of (request.headers.cookie ?? "").split(";")) {
    const [name, value] = part.trim().split("=", 2);
    if (name === COOKIE && value !== undefined) return value;
  }
  return null;
}

// -------------------------------------------------------------------------------------------------------- the throttle

const FAILURES = 10;
const WINDOW_MS = 60_000;
const ADDRESSES = 1_000;

/** After ten wrong tokens in a minute, an address's further wrong ones are told to wait the minute out. */
function createThrottle(clock: Clock) {
  const failed = new Map<string, { count: number; since: number }>();
  return {
    count(address: string): void {
      const now = clock.monotonic();
      const entry = failed.get(address);
      if (entry !== undefined && now - entry.since < WINDOW_MS) {
        entry.count++;
        return;
      }
      // The oldest makes room: an attacker with that many addresses isn't held by counting them.
      if (failed.size >= ADDRESSES) failed.delete(failed.keys().next().value ?? "");
      failed.set(address, { count: 1, since: now });
    },
    wait(address: string): Denial | null {
      const entry = failed.get(address);
      if (entry === undefined || entry.count < FAILURES) return null;
      const left = entry.since + WINDOW_MS - clock.monotonic();
      if (left <= 0) {
        failed.delete(address);
        return null;
      }
      return {
        status: 429,
        code: "too_many_tries",
        message: "Too many wrong tokens from this address.",
        retryAfterS: Math.ceil(left / 1000),
      };
    },
  };
}
