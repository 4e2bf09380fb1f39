/** What the log says when the journal stops taking events in, and when it takes them again: once for each change. */
import type { Journal } from "../journal/journal.ts";
import type { Logger } from "../ports.ts";

export function tellOfIntake(journal: Pick<Journal, "health" | "onHealth">, log: Logger): void {
  let open = true;
  let stalled = false;
  const look = () => {
    const health = journal.health();
    // Of a journal that has failed, the process says so as it leaves.
    if (health.failed !== null) return;
    const { intake } = health;
    if (intake.open !== open) {
      open = intake.open;
      if (intake.open) log.info({}, "events are taken in again");
      else
        log.warn(
          { reason: intake.reason, remedy: REMEDY },
          "no event is taken in: senders get 503 and try again",
        );
    }
    if (health.stalled !== stalled) {
      stalled = health.stalled;
      if (stalled) log.warn({ remedy: REMEDY }, "deliveries wait: what became of them can't be written");
      else log.info({}, "deliveries go on");
    }
  };
  journal.onHealth(look);
  look();
}

const REMEDY = "make room on the journal's disk (or a larger one, or less retention); it goes on by itself";
