/** What the admin API changes: every POST. */

import { parseDuration } from "../config/fields.ts";
import type { DaemonFace } from "../daemon/face.ts";
import { LeatError } from "../errors.ts";
import type { Seq } from "../event.ts";
import { type Answer, type Call, textIn } from "./call.ts";
import { rfc3339 } from "./views.ts";

/**
 * `{ seq, subscription }`: one event. `{ dead: true, subscription }`: every dead letter of the subscription; with a `seq`
 * that one alone.
 */
export async function replay({ daemon, body }: Call): Promise<Answer> {
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
export async function purge({ daemon, body }: Call): Promise<Answer> {
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

export async function reload({ daemon }: Call): Promise<Answer> {
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
export function confirmClock({ daemon }: Call): Answer {
  const doubted = daemon.journal.confirmClock();
  const time = rfc3339(daemon.clock.wall());
  daemon.log.info({ time, doubted }, "a person says that the clock is right");
  return { value: { time, doubted } };
}

export function pauseSink({ daemon, path: [name = ""], body }: Call): Answer {
  daemon.pause(name, typeof body.reason === "string" ? body.reason : "paused by a person");
  return { value: { sink: name, paused: true } };
}

export function resumeSink({ daemon, path: [name = ""] }: Call): Answer {
  daemon.resume(name);
  return { value: { sink: name, paused: false } };
}

/** `{ user, channel?, for? }`: takes a channel of a stream, or all of it, from a user; `for` is a duration. */
export async function revoke({ daemon, path: [sink = ""], body }: Call): Promise<Answer> {
  const user = textIn(body, "user");
  const channel = channelIn(body);
  const forMs = parseDuration(body.for === undefined ? USUAL_REVOCATION : String(body.for));
  if (forMs === null || forMs > MOST_REVOCATION_MS) {
    throw new LeatError("refused", "bad_request", "`for` must be a duration of at most 366d, such as 24h.");
  }
  const connections = await daemon.revoke(sink, user, channel, forMs);
  daemon.log.info({ sink, channel, connections }, "a user's access is revoked");
  return { value: { sink, user, channel, connections, until: rfc3339(daemon.clock.wall() + forMs) } };
}

/** `{ user, channel? }`: ends what was revoked so. */
export async function restore({ daemon, path: [sink = ""], body }: Call): Promise<Answer> {
  const user = textIn(body, "user");
  const channel = channelIn(body);
  const restored = await daemon.restore(sink, user, channel);
  return { value: { sink, user, channel, restored } };
}

/** Longer than tokens for browsers usually live. */
const USUAL_REVOCATION = "24h";
const MOST_REVOCATION_MS = 366 * 24 * 3_600_000;

function channelIn(body: Call["body"]): string | null {
  return body.channel === undefined || body.channel === null ? null : textIn(body, "channel");
}

function unknownSubscription(name: string): LeatError {
  return new LeatError("refused", "unknown_subscription", `There is no subscription ${name}.`, {
    hint: "GET /api/subscriptions lists them.",
  });
}
