/**
 * What Leat itself has to say, as events of the built-in source `leat`. Delivery raises its own in the commit that
 * settles (`leat.dead`, `leat.breaker`); these are the daemon's: refusals, sources that lost their broker.
 */
import { v7 as uuidv7 } from "uuid";
import { LEAT_SOURCE, NO_HEADERS } from "../event.ts";
import type { Log } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";

/** Appends one; never fails, never waits. What can't be appended (a full journal) is logged. */
export type RaiseEvent = (type: string, subject: string, data: object) => void;

export function createOwnEvents(journal: Log, clock: Clock, log: Logger): RaiseEvent {
  return (type, subject, data) => {
    const event = {
      source: LEAT_SOURCE,
      id: uuidv7(),
      type,
      subject,
      key: null,
      time: clock.wall(),
      headers: NO_HEADERS,
      body: Buffer.from(JSON.stringify(data)),
      hops: 0,
      cause: null,
    };
    journal.append(event, null).catch((err: unknown) => {
      log.warn({ err, type, subject }, "an event of leat's own was not appended");
    });
  };
}
