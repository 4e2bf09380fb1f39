/**
 * One route's account in one subscription (J3), as the main thread shows it. Every number moves by a transition of its
 * own; none is worked out from the others, so that their sum says something.
 *
 * On disk a leased delivery is still pending or retrying: *in flight* is memory's alone, and ends with the commit of the
 * settlement. So an account here and its row on disk differ by what is in flight, and by what waits for its commit.
 */
import type { Counts } from "../journal.ts";
import type { AccountDelta } from "./group.ts";

export type Outcome = "filtered" | "delivered" | "dead" | "expired" | "purged";

export type Tally = { -readonly [K in keyof Counts]: number };

export function emptyTally(): Tally {
  return {
    accepted: 0,
    pending: 0,
    inFlight: 0,
    retrying: 0,
    filtered: 0,
    delivered: 0,
    dead: 0,
    expired: 0,
    purged: 0,
  };
}

export class Account {
  /** As it is called now. */
  route: string;
  readonly counts: Tally;
  readonly replays: Tally;

  constructor(route: string, counts: Tally = emptyTally(), replays: Tally = emptyTally()) {
    this.route = route;
    this.counts = counts;
    this.replays = replays;
  }

  /** Events were appended (or, from before its start, read for the first time). */
  accept(count: number): void {
    this.counts.accepted += count;
    this.counts.pending += count;
  }

  /** A replay was asked for, and is on disk. */
  acceptReplay(): void {
    this.replays.accepted++;
    this.replays.pending++;
  }

  lease(replay: boolean, retried: boolean): void {
    const tally = replay ? this.replays : this.counts;
    tally[retried ? "retrying" : "pending"]--;
    tally.inFlight++;
  }

  /** A lease ended without a trace. */
  release(replay: boolean, retried: boolean): void {
    const tally = replay ? this.replays : this.counts;
    tally.inFlight--;
    tally[retried ? "retrying" : "pending"]++;
  }

  /** A delta is on disk: what it settled leaves *in flight*. */
  committed(delta: AccountDelta): void {
    const tally = delta.replay ? this.replays : this.counts;
    tally.inFlight -= delta.endedPending + delta.endedRetrying;
    // The disk's moves, less those that memory made at the lease, and at the first reading of an old event.
    tally.pending += delta.pending + delta.endedPending - delta.accepted;
    tally.retrying += delta.retrying + delta.endedRetrying;
    tally.filtered += delta.filtered;
    tally.delivered += delta.delivered;
    tally.dead += delta.dead;
    tally.expired += delta.expired;
    tally.purged += delta.purged;
  }
}
