/** What every sink says of an event beside its body: to people, to another Leat, to a tracer, to a CloudEvents reader. */
import type { Message } from "../component.ts";
import { traceparent } from "./trace.ts";

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
