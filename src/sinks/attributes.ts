/** What every sink says of an event beside its body: to people, to another Leat, to a tracer, to a CloudEvents reader. */
import { randomUUID } from "node:crypto";
import type { Message } from "../component.ts";
import { headerValue, type PackedHeaders } from "../event.ts";

/** W3C Trace Context, level 1, version 00. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const NOTHING = /^0+$/;

/**
 * Names in lower case and values as text, for headers or properties. `leat-id` with `leat-source` is the same in every
 * attempt and replay: by it a receiver drops repeats. Only `leat-id` may hold what isn't visible ASCII.
 */
export function leatHeaders(message: Message): [name: string, value: string][] {
  const { event } = message;
  const headers: [string, string][] = [
    ["leat-id", event.id],
    ["leat-source", event.source],
    ["leat-route", message.route],
    ["leat-attempt", String(message.attempt)],
    ["leat-hops", String(message.hops)],
    ["traceparent", traceparent(event.headers)],
  ];
  if (message.replay > 0) headers.push(["leat-replay", String(message.replay)]);
  return headers;
}

/**
 * CloudEvents 1.0, without a binding's prefix (`ce_`, `cloudEvents:`); the content type stands where the binding has it.
 * `subject` is left out where there is none, as the specification wants.
 */
export function cloudEventAttributes({ event }: Message): [name: string, value: string][] {
  const attributes: [string, string][] = [
    ["specversion", "1.0"],
    ["id", event.id],
    ["source", event.source],
    ["type", event.type],
    ["time", new Date(event.time).toISOString()],
  ];
  if (event.subject !== null && event.subject !== "") attributes.push(["subject", event.subject]);
  return attributes;
}

/** Goes on with the event's trace in a span of our own, or begins a trace. */
export function traceparent(headers: PackedHeaders): string {
  const [, trace = "", span = "", flags = "00"] = TRACEPARENT.exec(ownTrace(headers) ?? "") ?? [];
  const valid = trace !== "" && !NOTHING.test(trace) && !NOTHING.test(span);
  const fresh = randomUUID().replaceAll("-", "");
  return valid
    ? `00-${trace}-${fresh.slice(0, 16)}-${flags}`
    : `00-${fresh}-${randomUUID().replaceAll("-", "").slice(0, 16)}-00`;
}

/** Most events have none, and then their headers need not be unpacked: the name in either case ends the same way. */
function ownTrace(headers: PackedHeaders): string | undefined {
  const bytes = Buffer.from(headers.buffer, headers.byteOffset, headers.byteLength);
  return bytes.includes("raceparent", 0, "latin1") ? headerValue(headers, "traceparent") : undefined;
}
