/** What becomes of the records of each partition: on disk in order, kept as refused, or the partition stands still. */
import type { InHand } from "../../brokers/kafka/port.ts";
import type { RecordBatch } from "../../brokers/kafka/record-batch.ts";
import { type KafkaRecord, readRecords } from "../../brokers/kafka/records.ts";
import { UnreadableBatch } from "../../brokers/kafka/unpack.ts";
import type { SourceHost } from "../../component.ts";
import { createTaker, type Take } from "../take.ts";
import { tell } from "../tell.ts";
import { arrivalOf, schemaId } from "./arrival.ts";
import { Flight } from "./flight.ts";
import { type Progress, placeOf } from "./progress.ts";

export interface IntakeOptions {
  readonly oversize: "refuse" | "hold";
  readonly progress: Progress;
  /** A partition stands still, or (null) none of ours does any more. */
  halted(problem: { readonly error: string; readonly message: string } | null): void;
}

/** Why a partition stands still, and what to do about it. */
const HALTS: Readonly<
  Record<UnreadableBatch["reason"], { readonly error: string; readonly remedy: string }>
> = {
  lz4: {
    error: "lz4",
    remedy:
      "let its producer use gzip, snappy, zstd or none, and move the group's place behind what it has written (docs/kafka.md)",
  },
  codec: { error: "codec", remedy: "a newer Leat may know it" },
  corrupt: {
    error: "corrupt",
    remedy: "look at the partition's log on its brokers, or move the group's place behind it (docs/kafka.md)",
  },
};

interface Halt {
  readonly error: string;
  readonly message: string;
}

export class PartitionIntake {
  readonly #host: SourceHost;
  readonly #options: IntakeOptions;
  /** Why partitions stand still, by place; told of once for each offset. */
  readonly #halts = new Map<string, Halt>();
  readonly #told = new Set<string>();
  readonly #hinted = new Set<string>();
  #takers = new Map<string, Take>();

  constructor(host: SourceHost, options: IntakeOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** A connection's new life: what stood still is looked at anew. */
  begin(): void {
    this.#halts.clear();
    this.#takers = new Map();
  }

  /** What stands still and is another member's now is told as no trouble of ours any more. */
  assigned(ours: ReadonlyMap<string, readonly number[]>): void {
    const places = new Set([...ours].flatMap(([topic, all]) => all.map((one) => placeOf(topic, one))));
    const before = this.#halts.size;
    for (const place of this.#halts.keys()) if (!places.has(place)) this.#halts.delete(place);
    if (this.#halts.size < before) this.#tellHalts();
  }

  async take(hand: InHand, signal: AbortSignal): Promise<void> {
    const { topic, partition } = hand;
    const place = placeOf(topic, partition);
    const take = this.#taker(place, signal);
    this.#options.progress.ends(topic, partition, hand.end);
    const flight = new Flight(
      (record) => {
        const { offset, value, cutFrom } = record;
        if (value?.[0] === 0) this.#hint(topic, record);
        return take(arrivalOf(topic, partition, record), () => `${place}@${offset}`, cutFrom);
      },
      (next) => {
        hand.taken(next);
        this.#options.progress.read(topic, partition, next);
      },
    );
    try {
      await this.#send(hand, flight, signal);
      await flight.landed();
    } catch (error) {
      // What was on its way when the end came has been told; the rest is fetched again.
      if (!signal.aborted) throw error;
    }
  }

  async #send(hand: InHand, flight: Flight, signal: AbortSignal): Promise<void> {
    let next = hand.from;
    for (const batch of hand.batches) {
      if (batch.last < next) continue;
      if (!batch.skipped) {
        try {
          for await (const records of readRecords(batch, next, this.#host.maxEventBytes)) {
            if (signal.aborted) return;
            await this.#chunk(records, flight);
            next = (records.at(-1)?.offset ?? next - 1) + 1;
          }
        } catch (error) {
          if (!(error instanceof UnreadableBatch)) throw error;
          await flight.landed();
          await this.#halt(hand, next, batch, error);
          return;
        }
      }
      // What compaction or a rolled back transaction has left out of its end.
      next = batch.last + 1;
      flight.passed(next);
    }
  }

  /** A record that may have to be held goes alone: nothing behind it may be on disk before it. */
  async #chunk(records: readonly KafkaRecord[], flight: Flight): Promise<void> {
    const most = this.#host.maxEventBytes;
    const overLimit = ({ value, cutFrom }: KafkaRecord) => cutFrom !== null || (value?.length ?? 0) > most;
    if (!records.some(overLimit)) return flight.add(records);
    for (const record of records) {
      await flight.landed();
      await flight.add([record]);
    }
    await flight.landed();
  }

  #taker(place: string, signal: AbortSignal): Take {
    let take = this.#takers.get(place);
    if (take === undefined) {
      take = createTaker(this.#host, { oversize: this.#options.oversize, signal });
      this.#takers.set(place, take);
    }
    return take;
  }

  async #halt(hand: InHand, at: number, batch: RecordBatch, error: UnreadableBatch): Promise<void> {
    const place = placeOf(hand.topic, hand.partition);
    hand.halt();
    const message = `${place} stands still at offset ${at}: ${error.message}; ${HALTS[error.reason].remedy}`;
    this.#halts.set(place, { error: HALTS[error.reason].error, message });
    this.#tellHalts();
    if (this.#told.has(`${place}@${at}`)) return;
    this.#told.add(`${place}@${at}`);
    this.#host.log.error(
      { err: error, topic: hand.topic, partition: hand.partition, offset: at },
      "a partition stands still",
    );
    await this.tell(error.reason, place, message, batch.records.subarray(0, 1024));
  }

  /** By the word of the latest. */
  #tellHalts(): void {
    const all = [...this.#halts.values()];
    const last = all.at(-1);
    const message = all.map((halt) => halt.message).join("; ");
    this.#options.halted(last === undefined ? null : { error: last.error, message });
  }

  /** Raises a `leat` event; where the journal takes none now, it is shown all the same. */
  tell(reason: string, address: string, detail: string, body: Uint8Array | null = null): Promise<void> {
    const { name: source } = this.#host;
    return tell(this.#host, { source, reason, address, detail, body: body && Uint8Array.from(body) });
  }

  #hint(topic: string, { value }: KafkaRecord): void {
    if (value === null || this.#hinted.has(topic) || schemaId(value) === null) return;
    this.#hinted.add(topic);
    this.#host.log.warn(
      {
        topic,
        remedy:
          "pass them on as they are; expressions see base64, and the schema's number as the header kafka-schema-id",
      },
      "records are written by a schema registry's serializer, which Leat doesn't decode",
    );
  }
}
