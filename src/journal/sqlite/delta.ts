/**
 * How settlements get into a group. A subscription gathers what it settled; the committer asks for it when it sends a
 * group, and hands it back when the group could not be committed, so that nothing is ever sent twice or lost.
 */
import type { NewEvent } from "../../event.ts";
import type { SubscriptionDelta } from "./group.ts";

/** A delta on its way to disk, with the events that go into the same commit (replies, `leat` events). */
export interface TakenDelta {
  readonly delta: SubscriptionDelta;
  readonly raises: readonly NewEvent[];
}

/** Who gathers deltas: one subscription. It calls the committer's `dirty(this)` when it has something again. */
export interface DeltaSource {
  /** All that was gathered since the last call; null when there is nothing. */
  takeDelta(): TakenDelta | null;
  /** The group was rolled back and will be tried again: what was taken goes before what was gathered since. */
  restoreDelta(taken: TakenDelta): void;
  /** It is on disk: settlements resolve. Called before the commit's listeners hear of its events. */
  committed(taken: TakenDelta): void;
  /** The journal is lost to this process: settlements reject. */
  lost(taken: TakenDelta | null, error: Error): void;
}

/** What the ledger needs of the committer. */
export interface DeltaSink {
  /** Registers the source for the next group; cheap, may be called at any time, any number of times. */
  dirty(source: DeltaSource): void;
  /** True while settlements can't be committed (disk full, journal lost): no new delivery starts. */
  readonly stalled: boolean;
}
