/** Whether the daemon should be sent anything, and which of its parts don't work as they should. */
import type { Journal, Subscription } from "../journal/journal.ts";
import type { Clock } from "../ports.ts";
import type { Phase, Readiness, SinkStatus, SourceStatus } from "./face.ts";

export interface ReadinessParts {
  readonly phase: Phase;
  readonly journal: Journal;
  readonly sources: readonly SourceStatus[];
  readonly sinks: readonly SinkStatus[];
  /** Of whose events some have expired of late. */
  readonly expired: Readiness["degraded"];
  readonly clock: Clock;
}

export function readinessOf({ phase, journal, sources, sinks, expired, clock }: ReadinessParts): Readiness {
  const { intake, stalled, failed, notes } = journal.health();
  const reasons: string[] = [];
  if (phase !== "running") reasons.push(phase);
  if (failed !== null) reasons.push("the journal has failed");
  else if (!intake.open) reasons.push(intake.reason);
  const degraded = [
    ...(stalled ? [{ part: "journal", reason: "settlements wait for room: no delivery starts" }] : []),
    ...notes.map((reason) => ({ part: "journal", reason })),
    ...sources.flatMap((source) => brokerTrouble(`source ${source.name}`, source)),
    ...sinks.flatMap((sink) => brokerTrouble(`sink ${sink.name}`, sink)),
    ...sinks.flatMap((sink) => sinkTrouble(sink, clock.wall())),
    ...expired,
    ...orphans(journal).map((orphan) => ({
      part: `subscription ${orphan.name}`,
      reason: `no route feeds it any more, and it still owes ${orphan.owed} of its events`,
    })),
  ];
  return { ready: reasons.length === 0, phase, reasons, degraded };
}

function brokerTrouble(part: string, { standing }: SourceStatus | SinkStatus): Readiness["degraded"] {
  if (standing?.state !== "waiting") return [];
  return [{ part, reason: `waits for its broker: ${standing.message ?? ""}` }];
}

function sinkTrouble({ name, state }: SinkStatus, now: number): Readiness["degraded"] {
  const part = `sink ${name}`;
  const { paused, breaker, hold } = state;
  if (paused !== null) return [{ part, reason: `paused: ${paused}` }];
  if (breaker !== null) {
    return [{ part, reason: `its breaker is open after ${breaker.failures} failures in a row` }];
  }
  if (hold !== null && hold.until > now) {
    return [{ part, reason: `its receiver asked to wait until ${new Date(hold.until).toISOString()}` }];
  }
  return [];
}

interface Orphan {
  readonly name: string;
  /** Events not settled. */
  readonly owed: number;
}

/** Subscriptions whose route is gone and that still owe events: they wait for a person. */
function orphans(journal: Pick<Journal, "ledger">): Orphan[] {
  return journal.ledger
    .subscriptions()
    .filter(({ active }) => !active)
    .map((subscription) => ({ name: subscription.definition.name, owed: owedBy(subscription) }))
    .filter(({ owed }) => owed > 0);
}

/** The same for people, each with its remedy. */
export function orphanNotes(journal: Pick<Journal, "ledger">): string[] {
  return orphans(journal).map(
    ({ name, owed }) =>
      `${name} has no route any more and still owes ${owed} ${owed === 1 ? "event" : "events"}: \`leat purge ${name}\` gives them up`,
  );
}

function owedBy(subscription: Subscription): number {
  let owed = 0;
  for (const { counts, replays } of subscription.counts()) {
    for (const { pending, inFlight, retrying } of [counts, replays]) owed += pending + inFlight + retrying;
  }
  return owed;
}
