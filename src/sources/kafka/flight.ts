/**
 * Records of one partition on their way to the disk. They leave in order, many before the first has arrived, so that one
 * group commit is filled while another is being written; they count as taken in order, too.
 */
import type { KafkaRecord } from "../../brokers/kafka/records.ts";

/** So many bytes of a partition may be on their way. */
const MOST_BYTES = 4 * 1024 * 1024;

type TakeRecord = (record: KafkaRecord) => Promise<unknown>;

/** Records that leave together. */
class Leg {
  readonly bytes: number;
  /** All below it is taken once these are. */
  next: number;
  /** Not the records: whatever waits for the disk is copied by the collector. */
  readonly #offsets: readonly number[];
  readonly #done: readonly Promise<unknown>[];
  readonly #landed = Promise.withResolvers<void>();
  #left: number;

  constructor(records: readonly KafkaRecord[], next: number, take: TakeRecord) {
    let bytes = 0;
    for (const { value } of records) bytes += value?.length ?? 0;
    this.bytes = bytes;
    this.next = next;
    this.#offsets = records.map(({ offset }) => offset);
    this.#left = records.length;
    // Told by a failure only once somebody waits for it.
    this.#landed.promise.catch(() => {});
    const one = () => {
      if (--this.#left === 0) this.#landed.resolve();
    };
    const failed = (error: unknown) => this.#landed.reject(error);
    this.#done = records.map((record) => {
      const taken = take(record);
      taken.then(one, failed);
      return taken;
    });
  }

  /** Rejects with what the first failure says, at once. */
  get landed(): Promise<void> {
    return this.#landed.promise;
  }

  /** The offset of the first that wasn't taken, once all have ended in one way or the other. */
  async firstLost(): Promise<number> {
    const settled = await Promise.allSettled(this.#done);
    return this.#offsets[settled.findIndex(({ status }) => status === "rejected")] ?? this.next;
  }
}

export class Flight {
  readonly #take: TakeRecord;
  readonly #taken: (next: number) => void;
  #legs: Leg[] = [];
  #bytes = 0;

  /** `taken` is told how far all is on disk. */
  constructor(take: TakeRecord, taken: (next: number) => void) {
    this.#take = take;
    this.#taken = taken;
  }

  /** Resolves when there is room for more. Rejects as `take` does, when all before has been told as taken. */
  async add(records: readonly KafkaRecord[]): Promise<void> {
    const last = records.at(-1);
    if (last === undefined) return;
    const leg = new Leg(records, last.offset + 1, this.#take);
    this.#legs.push(leg);
    this.#bytes += leg.bytes;
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
      await leg.landed;
    } catch (error) {
      // What is on its way to the disk gets there; the place is that of the first that didn't.
      this.#taken(await leg.firstLost());
      this.#legs = [];
      throw error;
    }
    this.#legs.shift();
    this.#bytes -= leg.bytes;
    this.#taken(leg.next);
  }
}
