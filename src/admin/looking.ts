/** What the admin API shows: every GET. */
import type { SinkStatus, SourceStatus, StandingStatus } from "../daemon/face.ts";
import { LeatError } from "../errors.ts";
import { type Answer, type Call, limitIn, seqIn } from "./call.ts";
import {
  deadView,
  deliveryView,
  eventDetail,
  eventSummary,
  refusalView,
  rfc3339,
  subscriptionView,
} from "./views.ts";

export async function listEvents({ daemon, query }: Call): Promise<Answer> {
  const before = seqIn(query, "before");
  const [source, id] = [query.get("source"), query.get("id")];
  const events = await daemon.journal.history.events({
    limit: limitIn(query),
    ...(before === null ? {} : { before }),
    ...(source === null ? {} : { source }),
    ...(id === null ? {} : { id }),
  });
  return { value: { events: events.map(eventSummary) } };
}

export async function showEvent({ daemon, path }: Call): Promise<Answer> {
  const seq = Number(path[0]);
  if (!Number.isSafeInteger(seq))
    throw new LeatError("refused", "unknown_event", `There is no event ${path[0]}.`);
  const [event, deliveries] = await Promise.all([
    daemon.journal.log.get(seq),
    daemon.journal.history.deliveries(seq),
  ]);
  if (event === null && deliveries.length === 0) {
    throw new LeatError("refused", "unknown_event", `There is no event ${seq}, or retention has removed it.`);
  }
  return {
    value: {
      event: event === null ? null : eventDetail(event),
      deliveries: deliveries.map(deliveryView),
    },
  };
}

export async function listDead({ daemon, query }: Call): Promise<Answer> {
  const before = seqIn(query, "before");
  const subscription = query.get("subscription");
  const letters = await daemon.journal.ledger.dead({
    limit: limitIn(query),
    ...(before === null ? {} : { before }),
    ...(subscription === null ? {} : { subscription }),
  });
  return { value: { dead: letters.map(deadView) } };
}

export async function listRefusals({ daemon, query }: Call): Promise<Answer> {
  const refusals = await daemon.journal.history.refusals(limitIn(query));
  return { value: { refusals: refusals.map(refusalView) } };
}

export function listSubscriptions({ daemon }: Call): Answer {
  return { value: { subscriptions: daemon.journal.ledger.subscriptions().map(subscriptionView) } };
}

export function listSinks({ daemon }: Call): Answer {
  return { value: { sinks: daemon.sinks().map(sinkView) } };
}

export function listRevocations({ daemon, path: [sink = ""] }: Call): Answer {
  const revocations = daemon.revocations(sink).map(({ user, channel, at, until }) => {
    return { user, channel, at: rfc3339(at), until: rfc3339(until) };
  });
  return { value: { revocations } };
}

export function listSources({ daemon }: Call): Answer {
  return { value: { sources: daemon.sources().map(sourceView) } };
}

function sourceView({ name, type, standing, lag, lastAt }: SourceStatus): object {
  const last = lastAt === null ? null : rfc3339(lastAt);
  return { name, type, broker: brokerView(standing), lag, last_message: last };
}

/** Null where there is no broker. */
function brokerView(standing: StandingStatus | null): object | null {
  if (standing === null) return null;
  const { state, error, message, since, reconnects } = standing;
  return { state, error, message, since: rfc3339(since), reconnects };
}

function sinkView({ name, type, kind, state, standing, inFlight, probing, readers }: SinkStatus): object {
  const { hold, paused, breaker } = state;
  return {
    name,
    type,
    kind,
    broker: brokerView(standing),
    paused,
    hold_until: hold === null ? null : rfc3339(hold.until),
    breaker:
      breaker === null
        ? null
        : { failures: breaker.failures, open_until: rfc3339(breaker.openUntil), probing },
    in_flight: inFlight,
    readers,
  };
}
