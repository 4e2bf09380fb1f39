/** How long commits took, as a cumulative histogram, and what they made durable. */
import type { JournalMetrics } from "../journal.ts";

/** Seconds. From a fast NVMe's group to a disk in trouble. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class CommitTimes {
  commits = 0;
  events = 0;
  bytes = 0;
  #sum = 0;
  readonly #counts = new Array<number>(BOUNDS.length + 1).fill(0);

  add(seconds: number, events: number, bytes: number): void {
    this.commits++;
    this.events += events;
    this.bytes += bytes;
    this.#sum += seconds;
    const place = BOUNDS.findIndex((bound) => seconds <= bound);
    this.#counts[place === -1 ? BOUNDS.length : place]!++;
  }

  histogram(): JournalMetrics["commitSeconds"] {
    const buckets = new Map<number, number>();
    let count = 0;
    for (const [at, bound] of BOUNDS.entries()) buckets.set(bound, (count += this.#counts[at]!));
    return { buckets, sum: this.#sum, count: this.commits };
  }
}
