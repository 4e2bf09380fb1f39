/** Which headers a webhook may carry, and the ones that Leat writes itself. */

/** RFC 9110, 5.1: the name is a token. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, 5.5: visible characters, spaces, tabs, and obs-text; no CR, LF or NUL. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Hop-by-hop (RFC 9110, 7.6.1), and those that say how this one message is framed and where it goes. */
const OURS = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
  "host",
  "content-length",
]);

/** Written by Leat for each delivery; nobody else may. */
const PER_DELIVERY = new Set([
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
  "leat-id",
  "leat-source",
  "leat-route",
  "leat-attempt",
  "leat-hops",
  "leat-replay",
  "traceparent",
]);

/** Whether a value can stand in a header as it is. */
export function isHeaderValue(value: string): boolean {
  return VALUE.test(value);
}

/**
 * Any text as a header's value that every receiver reads alike: what isn't visible ASCII, and `%`, is percent-encoded as
 * UTF-8, so that `decodeURIComponent` gives the text back. Nothing in it can end the header or be trimmed off.
 */
export function asHeaderValue(text: string): string {
  if (/^[\x21-\x24\x26-\x7e]*$/.test(text)) return text;
  return text.toWellFormed().replace(/[^\x21-\x24\x26-\x7e]+/g, encodeURIComponent);
}

/** Whether an event's header of this (lower-case) name may be passed on. */
export function mayForward(name: string): boolean {
  return NAME.test(name) && !OURS.has(name) && !PER_DELIVERY.has(name);
}

/** What is wrong with a header written in the configuration; null when it is fine. Says nothing of the value. */
export function headerProblem(name: string, value: string): string | null {
  if (!NAME.test(name)) return "is no name of a header";
  if (OURS.has(name.toLowerCase())) return "is a header that HTTP itself writes";
  if (PER_DELIVERY.has(name.toLowerCase())) return "is a header that Leat writes for each delivery";
  return isHeaderValue(value) ? null : "has a value with characters that a header can't carry";
}
