/**
 * Reading a request's target. It is compared as it was sent: nothing is decoded, no `//` or `..` resolved, so that no
 * two spellings reach one endpoint by different rules than a proxy in front of us applies.
 */

/** The path of a target, without its query; null where it has none (`*`, an authority). */
export function pathOf(target: string): string | null {
  const path = target.startsWith("/") ? target : pathOfAbsolute(target);
  if (path === null) return null;
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

/** A client may name the whole URL (RFC 9112, 3.2.2), as if we were its proxy; the host says nothing to us. */
function pathOfAbsolute(target: string): string | null {
  const origin = /^https?:\/\/[^/?#]+/i.exec(target)?.[0];
  if (origin === undefined) return null;
  const rest = target.slice(origin.length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** The query of a target, without its `?`; empty where there is none. */
export function queryOf(target: string): string {
  const start = target.indexOf("?");
  if (start < 0) return "";
  const end = target.indexOf("#", start);
  return target.slice(start + 1, end < 0 ? undefined : end);
}

/**
 * A part of a path as text; null where it isn't percent-encoded UTF-8, or decodes to control characters (among them
 * NUL, CR and LF, which mustn't get into a header or a log by this way).
 */
export function decodePath(encoded: string): string | null {
  if (/^[A-Za-z0-9/._~-]*$/.test(encoded)) return encoded;
  try {
    const decoded = decodeURIComponent(encoded);
    return /[\p{Cc}\p{Cs}]/u.test(decoded) || /[^\x21-\x7e]/.test(encoded) ? null : decoded;
  } catch {
    return null;
  }
}
