/** W3C Trace Context, level 1, version 00: the `traceparent` of what Leat sends. */
import { randomFillSync } from "node:crypto";
import { headerValue, type PackedHeaders } from "../event.ts";

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const NOTHING = /^0+$/;

/** In bytes. */
const TRACE = 16;
const SPAN = 8;

/** Drawn for many deliveries at once: a call for each costs more than the rest of its headers. */
const drawn = Buffer.alloc(256 * (TRACE + SPAN));
let used = drawn.length;

/** Goes on with the event's trace in a span of our own, or begins a trace. */
export function traceparent(headers: PackedHeaders): string {
  const given = headerValue(headers, "traceparent");
  if (given !== undefined) {
    const [, trace = "", span = "", flags = "00"] = TRACEPARENT.exec(given) ?? [];
    const valid = trace !== "" && !NOTHING.test(trace) && !NOTHING.test(span);
    if (valid) return `00-${trace}-${random(SPAN)}-${flags}`;
  }
  return `00-${random(TRACE)}-${random(SPAN)}-00`;
}

/** So many random bytes, as lower-case hex; each is given out once. */
function random(bytes: number): string {
  if (used + bytes > drawn.length) {
    randomFillSync(drawn);
    used = 0;
  }
  used += bytes;
  return drawn.toString("hex", used - bytes, used);
}
