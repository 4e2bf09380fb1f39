/**
 * After an unclean stop a subscription works singly: each delivery is recorded as suspect, in a commit, before it is
 * evaluated, so that one that ends the process can be told from the others. Until it is past what may have been in
 * flight: what was free to go among the rows (at most `concurrency` of those that waited for a retry), and `concurrency`
 * new events. Should more have been in flight, settled but not committed, the next unclean stop finds it closer.
 */
import type { Seq } from "../../event.ts";
import type { Delivery } from "./delivery.ts";

export class Singly {
  /** Found as suspect at three unclean stops: dead without another try. */
  readonly crashed: ReadonlySet<Seq>;
  readonly #newest: Seq;
  #rows: number;
  #fresh: number;
  #candidate: Delivery | null = null;
  #recorded = false;
  #evaluating = false;

  /** `newest` is the last seq of the process that stopped; `free` rows could be leased at once. */
  constructor(newest: Seq, free: number, concurrency: number, crashed: readonly Seq[]) {
    this.#newest = newest;
    this.#rows = Math.min(free, 2 * concurrency);
    this.#fresh = concurrency;
    this.crashed = new Set(crashed);
  }

  get candidate(): Delivery | null {
    return this.#candidate;
  }

  /** Past what was in flight. `next` is the next seq to be read. */
  over(next: Seq): boolean {
    if (this.#candidate !== null || this.#evaluating) return false;
    return this.#rows <= 0 && (this.#fresh <= 0 || next > this.#newest);
  }

  /** No row is free any more: what was counted was settled without an attempt. */
  noRows(): void {
    this.#rows = 0;
  }

  /** This one is next, once it is recorded. */
  propose(delivery: Delivery): void {
    this.#candidate = delivery;
    this.#recorded = false;
  }

  recorded(seq: Seq): void {
    if (this.#candidate?.seq === seq) this.#recorded = true;
  }

  /** The candidate, if it is recorded. */
  take(): Delivery | null {
    const candidate = this.#candidate;
    if (candidate === null || !this.#recorded) return null;
    this.#candidate = null;
    this.#evaluating = true;
    if (candidate.row) this.#rows--;
    else this.#fresh--;
    return candidate;
  }

  /** The candidate, which then is none. */
  withdraw(): Delivery | null {
    const candidate = this.#candidate;
    this.#candidate = null;
    return candidate;
  }

  /** Its lease ended without a trace: it is still the candidate, and recorded. */
  giveBack(delivery: Delivery): boolean {
    if (!this.#evaluating) return false;
    this.#evaluating = false;
    this.#candidate = delivery;
    return true;
  }

  /** True: what was being evaluated is no longer suspect. */
  settled(): boolean {
    const evaluated = this.#evaluating;
    this.#evaluating = false;
    return evaluated;
  }
}
