/**
 * How one source or sink stands with its broker, as it last said: kept for readiness, metrics and people, and put into
 * the log once for each change.
 */
import type { Standing } from "../component.ts";
import type { Clock, Logger } from "../ports.ts";
import type { StandingStatus } from "./face.ts";

export interface StandingRecord {
  /** What a component's host offers. */
  stands(this: void, standing: Standing): void;
  /** Null for one that has no broker. */
  status(): StandingStatus | null;
}

export interface StandingOptions {
  /** Whether it will say how it stands: then it waits until it has. */
  readonly hasBroker: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each change. */
  onChange(): void;
}

const NOT_YET = { state: "waiting", error: "connecting", message: "has not connected yet" } as const;

export function createStanding({ hasBroker, clock, log, onChange }: StandingOptions): StandingRecord {
  const madeAt = clock.monotonic();
  let current: Standing | null = hasBroker ? NOT_YET : null;
  let since = clock.wall();
  let everConnected = false;
  let reconnects = 0;

  return {
    stands(standing) {
      const before = current;
      current = standing;
      if (sameState(before, standing)) return;
      since = clock.wall();
      if (standing.state === "waiting") {
        log.warn({ error: standing.error, reason: standing.message }, "waits for its broker");
      } else {
        if (everConnected) reconnects++;
        log.info({}, everConnected ? "connected to its broker again" : "connected to its broker");
        everConnected = true;
      }
      onChange();
    },
    status() {
      if (current === null) return null;
      const { error, message } = current.state === "waiting" ? current : { error: null, message: null };
      return { state: current.state, error, message, since, everConnected, madeAt, reconnects };
    },
  };
}

/** A message may differ from try to try (a port, a count); the word doesn't. */
function sameState(before: Standing | null, after: Standing): boolean {
  if (before?.state === "waiting" && after.state === "waiting") return before.error === after.error;
  return before?.state === after.state;
}
