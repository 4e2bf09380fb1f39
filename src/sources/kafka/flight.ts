/**
 * Records of one partition on their way to the disk. They leave in order, many before the first has arrived, so that one
 * group commit is filled while another is being written; they count as taken in order, too.
 */
import type { KafkaRecord } from "../../brokers/kafka/records.ts";

interface Leg {
  readonly records: readonly KafkaRecord[];
  readonly done: readonly Promise<unknown>[];
  readonly bytes: number;
  /** All below it is taken once these are. */
  next: number;
}

/** So many bytes of a partition may be on their way. */
const MOST_BYTES = 4 * 1024 * 1024;

export class Flight {
  readonly #take: (record: KafkaRecord) => Promise<unknown>;
  readonly #taken: (next: number) => void;
  #legs: Leg[] = [];
  #bytes = 0;

  /** `taken` is told how far all is on disk. */
  constructor(take: (record: KafkaRecord) => Promise<unknown>, taken: (next: number) => void) {
    this.#take = take;
    this.#taken = taken;
  }

  /** Resolves when there is room for more. Rejects as `take` does, when all before has been told as taken. */
  async add(records: readonly KafkaRecord[]): Promise<void> {
    const last = records.at(-1);
    if (last === undefined) return;
    let bytes = 0;
    for (const { value } of records) bytes += value?.length ?? 0;
    this.#legs.push({ records, done: records.map(this.#take), bytes, next: last.offset + 1 });
    this.#bytes += bytes;
    while (this.#bytes > MOST_BYTES && this.#legs.length > 1) await this.#land();
  }

  /** Everything below `next` that wasn't added isn't there: compacted, rolled back. */
  passed(next: number): void {
    const last = this.#legs.at(-1);
    if (last === undefined) this.#taken(next);
    else last.next = next;
  }

  /** Resolves when all of it is on disk. Rejects as `add`. */
  async landed(): Promise<void> {
    while (this.#legs.length > 0) await this.#land();
  }

  async #land(): Promise<void> {
    const [leg] = this.#legs;
    if (leg === undefined) return;
    try {
      await Promise.all(leg.done);
    } catch (error) {
      // What is on its way to the disk gets there; the place is that of the first that didn't.
      const settled = await Promise.allSettled(leg.done);
      const failed = leg.records[settled.findIndex(({ status }) => status === "rejected")];
      if (failed !== undefined) this.#taken(failed.offset);
      this.#legs = [];
      throw error;
    }
    this.#legs.shift();
    this.#bytes -= leg.bytes;
    this.#taken(leg.next);
  }
}
