/**
 * Tells people of events that expired, their sink having been behind for longer, or by more, than its `backlog` allows
 * (J6): in the log at once and then once a minute, and in readiness for an hour after the last.
 */
import type { Journal, Subscription } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";
import type { Readiness } from "./face.ts";

const LOOK_MS = 10_000;
const LOG_MS = 60_000;
const KEPT_MS = 3_600_000;

export interface Expiries {
  /** For readiness: one for each subscription of which events expired within the last hour. */
  notes(): Readiness["degraded"];
  stop(): void;
}

interface Seen {
  /** As counted at the last look. */
  count: number;
  /** Since `watchExpiries`. */
  expired: number;
  /** Not said in the log yet. */
  unsaid: number;
  /** Of the look that found the last one: wall clock and monotonic, ms. */
  at: number;
  found: number;
  /** Monotonic, ms. */
  said: number;
}

/** What expired before is in the metrics and in each event's history; it isn't told of again. */
export function watchExpiries({ ledger }: Pick<Journal, "ledger">, clock: Clock, log: Logger): Expiries {
  const seen = new Map<Subscription, Seen>();
  let cancel = () => {};
  for (const subscription of ledger.subscriptions()) seen.set(subscription, unseen(expiredOf(subscription)));

  function look(): void {
    const now = clock.monotonic();
    for (const subscription of ledger.subscriptions()) {
      const one = seen.get(subscription) ?? unseen(0);
      seen.set(subscription, one);
      const count = expiredOf(subscription);
      if (count > one.count) {
        one.expired += count - one.count;
        one.unsaid += count - one.count;
        one.at = clock.wall();
        one.found = now;
      }
      one.count = count;
      if (one.unsaid > 0 && now - one.said >= LOG_MS) say(subscription, one, now);
    }
    cancel = clock.after(LOOK_MS, look);
  }

  function say({ definition: { name, sink } }: Subscription, one: Seen, now: number): void {
    log.warn(
      { subscription: name, sink, expired: one.unsaid },
      "events have expired: their sink is behind by more than its backlog allows",
    );
    one.unsaid = 0;
    one.said = now;
  }

  look();
  return {
    notes() {
      const now = clock.monotonic();
      return [...seen]
        .filter(([, { expired, found }]) => expired > 0 && now - found < KEPT_MS)
        .map(([{ definition }, { expired, at }]) => ({
          part: `subscription ${definition.name}`,
          reason: `its backlog is at its bound: ${expired} of its oldest events have expired, the last before ${new Date(at).toISOString()}`,
        }));
    },
    stop: () => cancel(),
  };
}

function unseen(count: number): Seen {
  return { count, expired: 0, unsaid: 0, at: 0, found: 0, said: Number.NEGATIVE_INFINITY };
}

function expiredOf(subscription: Subscription): number {
  return subscription.counts().reduce((sum, { counts }) => sum + counts.expired, 0);
}
