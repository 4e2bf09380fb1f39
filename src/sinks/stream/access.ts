/** Who may read: the name it calls us by, the page's origin, and the reader's token. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { hostName, isOwnName } from "../../http/host.ts";

export type Auth =
  | { readonly type: "none" }
  | { readonly type: "bearer"; readonly token: readonly string[]; readonly query: boolean };

/**
 * Whether the name by which we are called is one of ours. It matters where nothing else keeps strangers out: without a
 * token, and unless any page may read (`*`). The names of `origins` are trusted as their pages are.
 *
 * @param hosts names beside localhost and addresses; null: any
 */
export function isKnownHost(
  request: IncomingMessage,
  auth: Auth,
  origins: readonly string[],
  hosts: readonly string[] | null,
): boolean {
  if (hosts === null || auth.type !== "none" || origins.includes("*")) return true;
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
 * cookies along whoever asks.
 */
export function checkOrigin(request: IncomingMessage, origins: readonly string[]): [string, string][] | null {
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

/** Whether the reader has shown a live token. */
export function isAuthorized(auth: Auth, request: IncomingMessage, query: URLSearchParams): boolean {
  if (auth.type === "none") return true;
  const header = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? "")?.[1];
  const shown = header ?? (auth.query ? query.get("access_token") : null);
  if (!shown) return false;
  // Digests have one length, and comparing all of them takes one time whichever matches.
  const given = digest(shown);
  return auth.token.map((token) => timingSafeEqual(digest(token), given)).includes(true);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
