/**
 * What came and was not taken: kept so that a person can see it (J2), counted, and told as `leat.refused`, at most
 * once a minute per source and reason, so that a flood of forged requests can't become a flood of events.
 */
import type { NewRefusal } from "../component.ts";
import type { History } from "../journal/journal.ts";
import type { Clock } from "../ports.ts";
import type { RaiseEvent } from "./own-events.ts";
import type { IntakeCounter } from "./source-host.ts";

const QUIET_MS = 60_000;

export interface Refusals {
  /** Never fails, never waits. */
  refuse(refusal: NewRefusal): void;
}

export interface RefusalsOptions {
  readonly history: Pick<History, "refuse">;
  readonly raise: RaiseEvent;
  readonly clock: Clock;
  readonly counter: Pick<IntakeCounter, "refused">;
}

export function createRefusals({ history, raise, clock, counter }: RefusalsOptions): Refusals {
  /** Sources are of the configuration and reasons of the code, so this stays small. */
  const quiet = new Map<string, { until: number; unsaid: number }>();

  return {
    refuse(refusal) {
      const { source, reason, address, detail } = refusal;
      history.refuse(refusal);
      counter.refused(source, reason);
      const name = `${source}\n${reason}`;
      const now = clock.monotonic();
      const last = quiet.get(name);
      if (last !== undefined && now < last.until) {
        last.unsaid++;
        return;
      }
      quiet.set(name, { until: now + QUIET_MS, unsaid: 0 });
      raise("leat.refused", source, { source, reason, address, detail, sinceLast: last?.unsaid ?? 0 });
    },
  };
}
