/** Whether a page may ask at all: the name it calls us by, and the page's origin. */
import type { IncomingMessage } from "node:http";
import { hostName, isOwnName } from "../../../http/host.ts";
import { type Denial, final } from "./admission.ts";

export interface OriginRules {
  /** Web origins whose pages may read; `*`: any. */
  readonly origins: readonly string[];
  /** As `StreamHost.hosts` has it. */
  readonly hosts: readonly string[] | null;
  /** Nothing else keeps strangers out. */
  readonly open: boolean;
}

/** What an answer carries for a page that may ask, or why it may not. */
export type Met = { readonly headers: readonly [string, string][] } | { readonly denial: Denial };

/** Of a preflight: what a page of a listed origin may send. */
export const PREFLIGHT_HEADERS: readonly [string, string][] = [
  ["access-control-allow-methods", "GET, HEAD, POST"],
  ["access-control-allow-headers", "authorization, last-event-id, cache-control, accept, content-type"],
  ["access-control-max-age", "86400"],
];

export function meet(request: IncomingMessage, rules: OriginRules): Met {
  if (!isKnownHost(request, rules)) {
    const message = "The stream isn't read under this name: it would have to be in server.hosts.";
    return { denial: final(421, "host_not_allowed", message) };
  }
  const headers = checkOrigin(request, rules.origins);
  if (headers !== null) return { headers };
  return { denial: final(403, "origin_not_allowed", "Pages of this origin may not read here.") };
}

/**
 * Whether the name by which we are called is one of ours. It matters where nothing else keeps strangers out: without a
 * token, and unless any page may read (`*`). The names of `origins` are trusted as their pages are.
 */
function isKnownHost(request: IncomingMessage, { open, origins, hosts }: OriginRules): boolean {
  if (hosts === null || !open || origins.includes("*")) return true;
  const name = hostName(request.headers.host ?? "");
  if (isOwnName(name)) return true;
  return (
    hosts.some((known) => hostName(known) === name) ||
    origins.some((origin) => URL.parse(origin)?.hostname === name)
  );
}

/**
 * What a page of another origin is told; null when it may not read. A request without `Origin` comes from no page, or
 * from one of our own, and passes. With one it must be listed, or be the endpoint's own: a browser sends the user's
 * cookies along whoever asks, and keeps no page from a WebSocket by itself.
 */
function checkOrigin(request: IncomingMessage, origins: readonly string[]): [string, string][] | null {
  const { origin, host } = request.headers;
  const vary: [string, string][] = origins.length > 0 ? [["vary", "Origin"]] : [];
  if (origin === undefined) return vary;
  if (origins.includes(origin)) {
    return [...vary, ["access-control-allow-origin", origin], ["access-control-allow-credentials", "true"]];
  }
  if (isSameOrigin(origin, host)) return vary;
  // Any page at all, and so none with the user's cookies.
  return origins.includes("*") ? [...vary, ["access-control-allow-origin", "*"]] : null;
}

/** Compared without the scheme: behind a proxy that ends TLS we don't know ours. */
function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: theirs } = new URL(origin);
  const ours = `${protocol}//${host}`;
  return /^https?:$/.test(protocol) && URL.canParse(ours) && new URL(ours).host === theirs;
}
