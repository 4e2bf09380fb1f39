/**
 * What Leat itself has to say, as events of the built-in source `leat`. Delivery raises its own in the commit that
 * settles (`leat.dead`, `leat.breaker`); these are the daemon's: refusals, and sources that lost their broker.
 */
import { leatEvent } from "../delivery/raise.ts";
import type { Log } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";

/** Appends one; never fails, never waits. What can't be appended (a full journal) is logged. */
export type RaiseEvent = (type: string, subject: string, data: object) => void;

/** Appends one; resolves once it is on disk, rejects as the journal's `append` does. */
export type AppendOwnEvent = (type: string, subject: string, data: object) => Promise<void>;

export interface OwnEvents {
  readonly raise: RaiseEvent;
  readonly append: AppendOwnEvent;
}

export function createOwnEvents(journal: Log, clock: Clock, log: Logger): OwnEvents {
  const append: AppendOwnEvent = async (type, subject, data) => {
    await journal.append(leatEvent(type, subject, data, 0, clock.wall()), null);
  };
  return {
    append,
    raise: (type, subject, data) => {
      append(type, subject, data).catch((err: unknown) => {
        log.warn({ err, type, subject }, "an event of leat's own was not appended");
      });
    },
  };
}
