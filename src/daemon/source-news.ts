/**
 * Tells of sources that lost their broker, and have it again, as `leat.source`: what was told last follows how the source
 * stands, each state at most once a minute, so that a broker that flaps can't become a flood of events.
 *
 *   connected ──lost──► told at once ──back──► told
 *   never connected yet ──10 s──► told (at a start the broker may be a moment behind us)
 */
import type { Clock } from "../ports.ts";
import type { SourceStatus, StandingStatus } from "./face.ts";
import type { RaiseEvent } from "./own-events.ts";

const QUIET_MS = 60_000;
const GRACE_MS = 10_000;

type State = StandingStatus["state"];

interface Told {
  /** What the last event said; at first nobody has to be told that it is connected. */
  state: State;
  /** Monotonic, ms, by state. */
  readonly at: Record<State, number>;
}

export interface SourceNews {
  /** Called when a source may stand otherwise than before. */
  look(this: void): void;
  stop(): void;
}

export function tellOfSources(
  sources: () => readonly SourceStatus[],
  raise: RaiseEvent,
  clock: Clock,
): SourceNews {
  const told = new Map<string, Told>();
  let cancel = () => {};

  /** Ms until there will be something to tell of this source; null: nothing until it changes. */
  function tell({ name, type, standing }: SourceStatus, now: number): number | null {
    if (standing === null) return null;
    const last = told.get(name) ?? nothingTold();
    told.set(name, last);
    const { state, error, message, since, everConnected, madeAt } = standing;
    if (state === last.state) return null;
    const due = Math.max(last.at[state] + QUIET_MS, everConnected ? 0 : madeAt + GRACE_MS);
    if (now < due) return due - now;
    last.state = state;
    last.at[state] = now;
    raise("leat.source", name, {
      source: name,
      type,
      state,
      error,
      message,
      since: new Date(since).toISOString(),
    });
    return null;
  }

  function look(): void {
    cancel();
    const now = clock.monotonic();
    const waits = sources().flatMap((source) => tell(source, now) ?? []);
    cancel = waits.length === 0 ? () => {} : clock.after(Math.min(...waits), look);
  }

  return { look, stop: () => cancel() };
}

function nothingTold(): Told {
  const never = Number.NEGATIVE_INFINITY;
  return { state: "connected", at: { connected: never, waiting: never } };
}
