/** What waits to be written, and which of it goes together into the next request. */
import type { BrokerError } from "../supervise.ts";
import type { OutgoingRecord } from "./port.ts";

/** What became of a record. `final`: no other try can help. `unsent`: it never was on its way. */
export type Outcome =
  | { readonly written: true }
  | { readonly written: false; readonly error: BrokerError; readonly final: boolean; readonly unsent?: true };

export interface Waiting {
  readonly record: OutgoingRecord;
  /** Aborted: nobody waits for it any more. */
  readonly signal: AbortSignal;
  readonly settle: (outcome: Outcome) => void;
}

/** A request holds so much: less than topics take as one batch by default, unless one record alone is larger. */
const REQUEST_RECORDS = 500;
const REQUEST_BYTES = 900 * 1024;

export class Requests {
  #waiting: Waiting[] = [];
  #wake: () => void = () => {};

  add(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#wake();
  }

  /** Resolves when there is something, or by `wake`. */
  async some(): Promise<void> {
    if (this.#waiting.length > 0) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  wake(): void {
    this.#wake();
  }

  /**
   * The next request's records, in the order they came: all of one topic, so that what is wrong with a topic is no other
   * one's trouble.
   */
  next(): Waiting[] {
    const wanted = this.#waiting.filter(({ signal }) => !signal.aborted);
    const topic = wanted[0]?.record.topic;
    const request: Waiting[] = [];
    const left: Waiting[] = [];
    let bytes = 0;
    let full = false;
    for (const one of wanted) {
      const size = sizeOf(one.record);
      full ||= request.length >= REQUEST_RECORDS;
      const fits = request.length === 0 || bytes + size <= REQUEST_BYTES;
      if (full || one.record.topic !== topic || !fits) {
        // Nothing overtakes a record of its own topic.
        full ||= one.record.topic === topic;
        left.push(one);
        continue;
      }
      request.push(one);
      bytes += size;
    }
    this.#waiting = left;
    return request;
  }

  /** All that waits, which is no more. */
  clear(): Waiting[] {
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }
}

function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let size = 64 + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, text] of headers) size += name.length + text.length + 4;
  return size;
}
