/**
 * The admin API: `/api/…`. One table of what there is; each entry gets what the client sent, checked, and returns what
 * to answer. Errors are LeatErrors; `unknown_…` is a 404.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { DaemonFace, SinkStatus } from "../daemon/face.ts";
import { LeatError } from "../errors.ts";
import type { Seq } from "../event.ts";
import { answerError, answerJson, answerThrown, readBody } from "./answer.ts";
import {
  deadView,
  deliveryView,
  eventDetail,
  eventSummary,
  refusalView,
  rfc3339,
  subscriptionView,
} from "./views.ts";

interface Call {
  readonly daemon: DaemonFace;
  /** What the pattern's groups caught, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Answer {
  readonly status?: number;
  readonly value: unknown;
}

interface Operation {
  readonly method: "GET" | "POST";
  readonly pattern: RegExp;
  readonly run: (call: Call) => Answer | Promise<Answer>;
}

const OPERATIONS: readonly Operation[] = [
  { method: "GET", pattern: /^\/events$/, run: listEvents },
  { method: "GET", pattern: /^\/events\/(\d{1,16})$/, run: showEvent },
  { method: "GET", pattern: /^\/dead$/, run: listDead },
  { method: "GET", pattern: /^\/refusals$/, run: listRefusals },
  { method: "GET", pattern: /^\/subscriptions$/, run: listSubscriptions },
  { method: "GET", pattern: /^\/sinks$/, run: listSinks },
  { method: "POST", pattern: /^\/replay$/, run: replay },
  { method: "POST", pattern: /^\/purge$/, run: purge },
  { method: "POST", pattern: /^\/reload$/, run: reload },
  { method: "POST", pattern: /^\/confirm-clock$/, run: confirmClock },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/pause$/, run: pauseSink },
  { method: "POST", pattern: /^\/sinks\/([^/]+)\/resume$/, run: resumeSink },
];

/** Answers one request below `/api`; `rest` is the path after it. Who may ask was decided before (`access.ts`). */
export async function answerApi(
  daemon: DaemonFace,
  request: IncomingMessage,
  response: ServerResponse,
  rest: string,
): Promise<void> {
  const found = OPERATIONS.filter(({ pattern }) => pattern.test(rest));
  const operation = found.find(({ method }) => method === request.method);
  if (operation === undefined) {
    answerNone(response, found);
    return;
  }
  try {
    const path = (operation.pattern.exec(rest) ?? []).slice(1).map(decode);
    const { searchParams: query } = new URL(request.url ?? "/", "http://leat");
    const body = operation.method === "GET" ? {} : jsonObject(await readBody(request, response));
    const { status = 200, value } = await operation.run({ daemon, path, query, body });
    answerJson(response, status, value);
  } catch (error) {
    if (!(error instanceof LeatError)) daemon.log.error({ err: error }, "a request to the admin API failed");
    answerThrown(response, error);
  }
}

function answerNone(response: ServerResponse, found: readonly Operation[]): void {
  if (found.length === 0) {
    answerError(response, 404, { code: "unknown_path", message: "There is nothing at this path." });
    return;
  }
  response.setHeader("allow", found.map(({ method }) => method).join(", "));
  answerError(response, 405, { code: "method_not_allowed", message: "This path doesn't take this method." });
}

// ------------------------------------------------------------------------------------------------------------- reading

async function listEvents({ daemon, query }: Call): Promise<Answer> {
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

async function showEvent({ daemon, path }: Call): Promise<Answer> {
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

async function listDead({ daemon, query }: Call): Promise<Answer> {
  const before = seqIn(query, "before");
  const subscription = query.get("subscription");
  const letters = await daemon.journal.ledger.dead({
    limit: limitIn(query),
    ...(before === null ? {} : { before }),
    ...(subscription === null ? {} : { subscription }),
  });
  return { value: { dead: letters.map(deadView) } };
}

async function listRefusals({ daemon, query }: Call): Promise<Answer> {
  const refusals = await daemon.journal.history.refusals(limitIn(query));
  return { value: { refusals: refusals.map(refusalView) } };
}

function listSubscriptions({ daemon }: Call): Answer {
  return { value: { subscriptions: daemon.journal.ledger.subscriptions().map(subscriptionView) } };
}

function listSinks({ daemon }: Call): Answer {
  return { value: { sinks: daemon.sinks().map(sinkView) } };
}

function sinkView({ name, type, kind, state, inFlight, probing, readers }: SinkStatus): object {
  const { hold, paused, breaker } = state;
  return {
    name,
    type,
    kind,
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

// ------------------------------------------------------------------------------------------------------------ changing

/**
 * `{ seq, subscription }`: one event. `{ dead: true, subscription }`: every dead letter of the subscription; with a `seq`
 * that one alone.
 */
async function replay({ daemon, body }: Call): Promise<Answer> {
  const { ledger } = daemon.journal;
  const subscription = textIn(body, "subscription");
  checkReplayable(daemon, subscription);
  if (body.dead === true && body.seq === undefined) {
    const seqs = await deadSeqs(daemon, subscription);
    for (const seq of seqs) await ledger.replay(seq, subscription);
    return { value: { replayed: seqs.length, subscription } };
  }
  const { seq } = body;
  if (typeof seq !== "number" || !Number.isSafeInteger(seq)) {
    throw new LeatError("refused", "bad_request", "`seq` must be a whole number, or `dead` true.");
  }
  if (body.dead === true) await checkDead(daemon, seq, subscription);
  const { replay: number } = await ledger.replay(seq, subscription);
  return { value: { replayed: 1, subscription, seq, replay: number } };
}

/** Why a replay into it can't be: nobody would deliver it. */
function checkReplayable({ journal }: DaemonFace, name: string): void {
  const subscription = journal.ledger.subscription(name);
  if (subscription === undefined) throw unknownSubscription(name);
  if (subscription.active) return;
  throw new LeatError(
    "refused",
    "inactive_subscription",
    `The subscription ${name} is inactive: its route is gone.`,
    {
      hint: "Put its route back and reload; then replay.",
    },
  );
}

async function checkDead({ journal }: DaemonFace, seq: Seq, subscription: string): Promise<void> {
  const [letter] = await journal.ledger.dead({ subscription, before: seq + 1, limit: 1 });
  if (letter?.event.seq === seq) return;
  const message = `The event ${seq} is no dead letter of ${subscription}.`;
  throw new LeatError("refused", "unknown_dead_letter", message, {
    hint: "GET /api/dead lists them; without `dead` (on the command line: with --to) any event is replayed.",
  });
}

/** The events that are dead letters of a subscription now, oldest first; one is listed once, however often it died. */
async function deadSeqs({ journal }: DaemonFace, subscription: string): Promise<Seq[]> {
  const seqs = new Set<Seq>();
  for (let before: Seq | undefined; ; ) {
    const page = await journal.ledger.dead({
      subscription,
      limit: 500,
      ...(before === undefined ? {} : { before }),
    });
    for (const { event } of page) seqs.add(event.seq);
    const last = page.at(-1)?.event.seq;
    if (last === undefined || last === before) return [...seqs].sort((a, b) => a - b);
    before = last;
  }
}

/** `{ subscription, what: "owed" | "dead" }`. */
async function purge({ daemon, body }: Call): Promise<Answer> {
  const subscription = textIn(body, "subscription");
  const { what = "owed" } = body;
  if (what !== "owed" && what !== "dead") {
    throw new LeatError("refused", "bad_request", '`what` must be "owed" or "dead".');
  }
  if (daemon.journal.ledger.subscription(subscription) === undefined) throw unknownSubscription(subscription);
  const purged = await daemon.journal.ledger.purge(subscription, what);
  daemon.log.info({ subscription, what, purged }, "purged");
  return { value: { purged, subscription, what } };
}

async function reload({ daemon }: Call): Promise<Answer> {
  const result = await daemon.reload();
  if (result.ok) return { value: result };
  return {
    status: 422,
    value: {
      error: {
        code: "invalid_configuration",
        message: "The configuration has errors; the one that runs was left as it is.",
        hint: "Mend them and reload again.",
        problems: result.problems,
      },
    },
  };
}

/** The time that is taken to be right is answered, so that a person sees what was confirmed. */
function confirmClock({ daemon }: Call): Answer {
  const doubted = daemon.journal.confirmClock();
  const time = rfc3339(daemon.clock.wall());
  daemon.log.info({ time, doubted }, "a person says that the clock is right");
  return { value: { time, doubted } };
}

function pauseSink({ daemon, path: [name = ""], body }: Call): Answer {
  daemon.pause(name, typeof body.reason === "string" ? body.reason : "paused by a person");
  return { value: { sink: name, paused: true } };
}

function resumeSink({ daemon, path: [name = ""] }: Call): Answer {
  daemon.resume(name);
  return { value: { sink: name, paused: false } };
}

// ------------------------------------------------------------------------------------------------- what a client sends

const LIMIT = { usual: 50, most: 500 };

function limitIn(query: URLSearchParams): number {
  return Math.min(numberIn(query, "limit") ?? LIMIT.usual, LIMIT.most);
}

function seqIn(query: URLSearchParams, name: string): Seq | null {
  return numberIn(query, name);
}

function numberIn(query: URLSearchParams, name: string): number | null {
  const written = query.get(name);
  if (written === null) return null;
  const value = Number(written);
  if (/^\d+$/.test(written) && Number.isSafeInteger(value) && value > 0) return value;
  throw new LeatError("refused", "bad_request", `\`${name}\` must be a whole number above 0.`);
}

function textIn(body: Call["body"], name: string): string {
  const value = body[name];
  if (typeof value === "string" && value !== "") return value;
  throw new LeatError("refused", "bad_request", `\`${name}\` is missing or no text.`);
}

function jsonObject(bytes: Buffer): Call["body"] {
  if (bytes.byteLength === 0) return {};
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Call["body"];
  } catch {
    // Said below, as for any other value.
  }
  throw new LeatError("refused", "bad_request", "The body must be a JSON object.");
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function unknownSubscription(name: string): LeatError {
  return new LeatError("refused", "unknown_subscription", `There is no subscription ${name}.`, {
    hint: "GET /api/subscriptions lists them.",
  });
}
