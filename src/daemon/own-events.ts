/**
 * What Leat itself has to say, as events of the built-in source `leat`. Delivery raises its own in the commit that
 * settles (`leat.dead`, `leat.breaker`); these are the daemon's: refusals.
 */
import { leatEvent } from "../delivery/raise.ts";
import type { Log } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";

/** Appends one; never fails, never waits. What can't be appended (a full journal) is logged. */
export type RaiseEvent = (type: string, subject: string, data: object) => void;

export function createOwnEvents(journal: Log, clock: Clock, log: Logger): RaiseEvent {
  return (type, subject, data) => {
    journal.append(leatEvent(type, subject, data, 0, clock.wall()), null).catch((err: unknown) => {
      log.warn({ err, type, subject }, "an event of leat's own was not appended");
    });
  };
}
