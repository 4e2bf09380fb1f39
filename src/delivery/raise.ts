/** Events that deliveries give rise to: replies, and what Leat has to say of its own work. Appended by the settlement. */
import { v7 as uuidv7 } from "uuid";
import type { Reply } from "../component.ts";
import { type Event, LEAT_SOURCE, type NewEvent, NO_HEADERS, packHeaders } from "../event.ts";
import type { Lease } from "../journal/journal.ts";

const JSON_HEADERS = packHeaders([["content-type", "application/json"]]);

/** A `leat` event. `hops` counts on from what it is about, so that one that comes back as an event ends some day. */
export function leatEvent(type: string, subject: string, data: object, hops: number, now: number): NewEvent {
  return {
    source: LEAT_SOURCE,
    id: uuidv7(),
    type,
    subject,
    key: null,
    time: now,
    headers: JSON_HEADERS,
    body: Buffer.from(JSON.stringify(data)),
    hops,
    cause: null,
  };
}

/** Which event it is about; no payload, so that a `leat` event can be sent to people who may not see it. */
function about(event: Event): object {
  const { seq, id, source, type, subject, key } = event;
  return { seq, id, source, type, subject, key };
}

/** A delivery of a `leat` event raises none: a dead receiver of them would otherwise feed itself. */
function silent(event: Event): boolean {
  return event.source === LEAT_SOURCE;
}

export interface Death {
  readonly subscription: string;
  readonly route: string;
  readonly sink: string;
  readonly error: string;
  readonly message: string;
  readonly status: number | null;
  /** How many attempts were made. */
  readonly attempts: number;
}

export function raiseDead(lease: Lease, death: Death, now: number): NewEvent[] {
  const { event } = lease;
  if (silent(event)) return [];
  const data = { ...death, replay: lease.replay, event: about(event) };
  return [leatEvent("leat.dead", death.subscription, data, event.hops + 1, now)];
}

/** `event` is the one whose attempt opened or closed it. */
export function raiseBreaker(
  event: Event,
  sink: string,
  state: "open" | "closed",
  failures: number,
  now: number,
): NewEvent[] {
  if (silent(event)) return [];
  return [leatEvent("leat.breaker", sink, { sink, state, failures }, event.hops + 1, now)];
}

/** The receiver's answer as an event of the sink's name, or a `leat` event where it is too long to be one. */
export function raiseReply(
  lease: Lease,
  sink: string,
  subscription: string,
  reply: Reply,
  now: number,
): NewEvent[] {
  const { event } = lease;
  if (reply.truncated) {
    if (silent(event)) return [];
    const data = {
      source: sink,
      reason: "too_large",
      detail: "the receiver's answer is over 64 KiB and became no event",
      subscription,
      event: about(event),
    };
    return [leatEvent("leat.refused", sink, data, event.hops + 1, now)];
  }
  return [
    {
      source: sink,
      id: `${event.seq}/${subscription}${lease.replay > 0 ? `/r${lease.replay}` : ""}`,
      type: "reply",
      subject: event.subject,
      key: event.key,
      time: now,
      headers: reply.contentType === null ? NO_HEADERS : packHeaders([["content-type", reply.contentType]]),
      body: reply.body,
      hops: event.hops + 1,
      cause: event.seq,
    },
  ];
}
