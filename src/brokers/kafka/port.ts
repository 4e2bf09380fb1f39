/**
 * What Leat needs of a Kafka client, so small that another library can stand behind it. Today that is kafkajs
 * (`group.ts`, `producer.ts`, `looking.ts`), which nobody maintains any more.
 */
import type { RecordBatch } from "./record-batch.ts";

/** One partition's part of a fetch, in the hand of who takes it. */
export interface InHand {
  readonly topic: string;
  readonly partition: number;
  /** In order. The first may hold records below `from`. */
  readonly batches: readonly RecordBatch[];
  /** The offset that was asked for. */
  readonly from: number;
  /** The one behind the newest record there is. */
  readonly end: number;
  /** All below `next` is on disk: it may be committed, and needn't be fetched again. */
  taken(next: number): void;
  /** No more of this partition as long as this connection lives, and the group leaves it to us. */
  halt(): void;
}

export interface GroupListener {
  /**
   * Called for several partitions at once, for one only when the call before has resolved. What isn't `taken` when it
   * resolves is fetched again. A rejection ends the connection's life. `signal` aborts when that ends: finish soon.
   */
  take(hand: InHand, signal: AbortSignal): Promise<void>;
  /** The group has shared its partitions out anew; this is what is ours. */
  assigned(partitions: ReadonlyMap<string, readonly number[]>): void;
  /** The place we wanted to read from isn't there: removed before it was read, or the topic was made anew. */
  outOfRange(topic: string, partition: number): void;
}

export interface GroupOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** Where to begin in a topic that the group has no place in. */
  start(topic: string): "earliest" | "latest";
  readonly sessionTimeoutMs: number;
}

/** A record to write. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  /** Null: a tombstone. */
  readonly value: Buffer | null;
  readonly headers: readonly (readonly [name: string, value: string | Buffer])[];
}
