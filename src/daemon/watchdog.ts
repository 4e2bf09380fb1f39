/**
 * The watchdog: at a steady pace looks whether the daemon works, and says so only if it does. Whoever listens restarts a
 * process of which nothing was heard for too long.
 *
 * It works when the journal's writer answers and the event loop has the answer in time. Sinks and receivers aren't
 * asked: a restart heals none of them. A pause that is over (a stopped process, a machine that was moved) counts for
 * nothing: what is measured is the present.
 */
import type { Journal } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";

export interface WatchdogOptions {
  readonly journal: Pick<Journal, "ping">;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often somebody wants to hear that it works, at the least, in ms. */
  readonly withinMs: number;
  /** Called when it works; the next look comes after it resolved. Must not reject. */
  readonly works: () => Promise<void>;
}

/** Says it so often within the time, that one message that is late or lost does no harm. */
const LOOKS = 3;
/** After a look that failed the next one comes sooner, so that a short hang doesn't use up the time. */
const LOOKS_AGAIN = 12;
/** An answer that takes longer is none; a commit on a slow disk may take a while. */
const PROMPT_MS = 5_000;
const PROMPT_SHARE = 0.25;

/** Looks at once, then goes on until the result is called. */
export function startWatchdog({ journal, clock, log, withinMs, works }: WatchdogOptions): () => void {
  const promptMs = Math.min(PROMPT_MS, PROMPT_SHARE * withinMs);
  let silent = false;
  let stopped = false;
  let cancel = () => {};

  const look = async (): Promise<void> => {
    const trouble = await troubleOf(journal, clock, promptMs);
    if (stopped) return;
    if (trouble === null) {
      if (silent) log.info({}, "the watchdog is told again that Leat works");
      silent = false;
      await works();
      if (stopped) return;
    } else if (!silent) {
      silent = true;
      log.warn(
        { trouble, withinMs },
        "the watchdog isn't told that Leat works: a restart comes if this goes on",
      );
    }
    cancel = clock.after(withinMs / (trouble === null ? LOOKS : LOOKS_AGAIN), () => void look());
  };

  void look();
  return () => {
    stopped = true;
    cancel();
  };
}

async function troubleOf(
  journal: Pick<Journal, "ping">,
  clock: Clock,
  promptMs: number,
): Promise<string | null> {
  const asked = clock.monotonic();
  try {
    await journal.ping(promptMs);
  } catch {
    return "the journal's writer doesn't answer";
  }
  // The answer may have been there long before the event loop came to it.
  return clock.monotonic() - asked > promptMs ? "the event loop is blocked" : null;
}
