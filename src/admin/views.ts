/**
 * The journal's things as the API shows them: times in RFC 3339 UTC, bodies as CloudEvents has them (`data`, or
 * `data_base64` for what isn't JSON or text), and headers without what may be a credential.
 */
import { type Event, type PackedHeaders, textOf, unpackHeaders } from "../event.ts";
import type {
  AttemptRecord,
  DeadLetter,
  DeliveryHistory,
  Refusal,
  Subscription,
} from "../journal/journal.ts";

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();

/** An event without what may be large. */
export function eventSummary(event: Event): object {
  return {
    seq: event.seq,
    id: event.id,
    source: event.source,
    type: event.type,
    subject: event.subject,
    key: event.key,
    time: rfc3339(event.time),
    bytes: event.body.byteLength,
    hops: event.hops,
    cause: event.cause,
  };
}

export function eventDetail(event: Event): object {
  return { ...eventSummary(event), headers: headersView(event.headers), ...dataView(event.body) };
}

const CREDENTIAL = /authorization|cookie|token|secret|password|api-?key|signature/i;

function headersView(packed: PackedHeaders): [string, string][] {
  return unpackHeaders(packed).map(([name, value]) => [
    name,
    CREDENTIAL.test(name) ? "***" : Buffer.from(value).toString("utf8"),
  ]);
}

/** Deeper JSON is shown as text: neither JSON's writer nor most of its readers go on for ever. */
const SHOWN_LEVELS = 500;

function dataView(body: Uint8Array): { data: unknown } | { data_base64: string } {
  const text = textOf(body);
  if (text === null) return { data_base64: Buffer.from(body).toString("base64") };
  try {
    const data: unknown = parseWithDigits(text, keepDigits);
    return { data: isWithin(data, SHOWN_LEVELS) ? data : text };
  } catch {
    // No JSON, or too deep for its reader.
    return { data: text };
  }
}

/** TypeScript's library doesn't know yet that the text of a number can be read and written. */
const { parse: parseWithDigits, rawJSON } = JSON as unknown as {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): object;
};

/** 1234567890123456789 would become ...800. */
function keepDigits(_key: string, value: unknown, { source }: { source?: string }): unknown {
  if (typeof value !== "number" || source === undefined || String(value) === source) return value;
  return rawJSON(source);
}

function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((inner) => isWithin(inner, levels - 1));
}

export function deliveryView(delivery: DeliveryHistory): object {
  return {
    subscription: delivery.subscription,
    replay: delivery.replay,
    state: delivery.state,
    due: delivery.dueAt === null ? null : rfc3339(delivery.dueAt),
    attempts: delivery.attempts.map(attemptView),
  };
}

function attemptView(attempt: AttemptRecord): object {
  return {
    at: rfc3339(attempt.at),
    ms: attempt.ms,
    outcome: attempt.outcome,
    status: attempt.status,
    error: attempt.error,
    message: attempt.message,
    answer: attempt.answer === null ? null : Buffer.from(attempt.answer).toString("utf8"),
  };
}

export function deadView(letter: DeadLetter): object {
  return {
    subscription: letter.subscription,
    route: letter.route,
    replay: letter.replay,
    at: rfc3339(letter.at),
    error: letter.error,
    message: letter.message,
    attempts: letter.attempts,
    event: eventSummary(letter.event),
  };
}

export function refusalView(refusal: Refusal): object {
  return {
    at: rfc3339(refusal.at),
    source: refusal.source,
    reason: refusal.reason,
    address: refusal.address,
    detail: refusal.detail,
    count: refusal.count,
    bytes: refusal.body?.byteLength ?? 0,
  };
}

export function subscriptionView(subscription: Subscription): object {
  const { definition, active } = subscription;
  const lag = subscription.lag();
  return {
    name: definition.name,
    sink: definition.sink,
    kind: definition.kind,
    active,
    order: definition.order,
    oldest_unsettled: lag === null ? null : rfc3339(lag.oldestAt),
    backlog_bytes: lag?.bytes ?? 0,
    routes: subscription.counts().map(({ route, counts, replays }) => ({
      route,
      counts: { ...counts, in_flight: counts.inFlight, inFlight: undefined },
      replays: { ...replays, in_flight: replays.inFlight, inFlight: undefined },
    })),
  };
}
