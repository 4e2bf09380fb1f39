/** The headers of a webhook: which of them are stored with the event, and what the intake needs to know of them. */
import { type PackedHeaders, packHeaders } from "../../event.ts";
import { HOPS, parseHops } from "../attributes.ts";
import type { RawHeaders } from "./verify/scheme.ts";

/**
 * Not stored. What belongs to one connection only (RFC 9110, 7.6.1), and what proves who a sender is and would let
 * anybody who reads the journal be it.
 */
const DROPPED = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "expect",
  "authorization",
  "proxy-authorization",
  "cookie",
]);

/** The headers that describe the body as it came over the wire; untrue of one that was unpacked. */
export const OF_WIRE = new Set(["content-encoding", "content-length"]);

export interface IntakeHeaders {
  /** Null where the sender doesn't say. */
  readonly contentLength: number | null;
  /** In lower case; null for none, and for `identity`. */
  readonly contentEncoding: string | null;
  /** How many Leats it came through. */
  readonly hops: number;
  /** Name and value of each header to store. */
  readonly kept: readonly [name: string, value: string][];
}

/** Goes over the headers once. `secret` are lower-case names of headers that carry a secret of the source's. */
export function readHeaders(raw: RawHeaders, secret: readonly string[]): IntakeHeaders {
  let contentLength: number | null = null;
  let contentEncoding: string | null = null;
  let connection: string | null = null;
  let hops = 0;
  let kept: [string, string][] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at] as string;
    const value = raw[at + 1] as string;
    const lower = name.toLowerCase();
    if (lower === "content-length") contentLength = Number(value);
    else if (lower === "content-encoding") contentEncoding = joined(contentEncoding, value);
    else if (lower === HOPS) hops = Math.max(hops, parseHops(value));
    else if (lower === "connection") connection = joined(connection, value);
    if (!DROPPED.has(lower) && !secret.includes(lower)) kept.push([name, value]);
  }
  if (connection !== null && connection !== "close" && connection !== "keep-alive") {
    const named = new Set(connection.split(",").map((name) => name.trim()));
    kept = kept.filter(([name]) => !named.has(name.toLowerCase()));
  }
  return {
    contentLength,
    contentEncoding: contentEncoding === "identity" || contentEncoding === "" ? null : contentEncoding,
    hops,
    kept,
  };
}

/** `unpacked`: the body isn't stored as it came. */
export function packKept({ kept }: IntakeHeaders, unpacked: boolean): PackedHeaders {
  return packHeaders(unpacked ? kept.filter(([name]) => !OF_WIRE.has(name.toLowerCase())) : kept);
}

function joined(before: string | null, value: string): string {
  const lower = value.trim().toLowerCase();
  return before === null ? lower : `${before},${lower}`;
}
