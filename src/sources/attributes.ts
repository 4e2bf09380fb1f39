/** What sources read of an event's headers, and how a broker's become ours. */
import { type PackedHeaders, packHeaders } from "../event.ts";

/** The header, property or field that counts the Leats an event has come through. */
export const HOPS = "leat-hops";

/** How many Leats it came through. What isn't a small number counts as none. */
export function parseHops(value: string): number {
  return /^\d{1,4}$/.test(value) ? Number(value) : 0;
}

/** The same of a broker's headers, in any case of the name; the greatest where there are several. */
export function hopsOf(headers: Iterable<readonly [name: string, value: string | Uint8Array]>): number {
  let hops = 0;
  for (const [name, value] of headers) {
    if (name.length !== HOPS.length || name.toLowerCase() !== HOPS) continue;
    hops = Math.max(
      hops,
      parseHops(typeof value === "string" ? value : Buffer.from(value).toString("latin1")),
    );
  }
  return hops;
}

/** A name's length is kept in 16 bits. */
const NAME_MOST = 0xffff;

/**
 * Packs a broker's headers: text is UTF-8 there, and a name may hold anything. What doesn't fit into a name of ours is
 * percent-encoded; one that is longer than any can be is cut (its bytes are over any sensible `limits.header_bytes`).
 */
export function packBrokerHeaders(
  headers: readonly (readonly [name: string, value: string | Uint8Array])[],
): PackedHeaders {
  const named = headers.every(([name]) => fits(name))
    ? headers
    : headers.map(([name, value]) => [packableName(name), value] as const);
  return packHeaders(named, "utf8");
}

/** As nearly all do, which is found out at each header of each message. */
function fits(name: string): boolean {
  if (name.length > NAME_MOST) return false;
  for (let n = 0; n < name.length; n++) {
    const code = name.charCodeAt(n);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}

function packableName(name: string): string {
  const latin = name.toWellFormed().replace(/[^\x20-\x7e]+/g, encodeURIComponent);
  return latin.length > NAME_MOST ? latin.slice(0, NAME_MOST) : latin;
}
