/**
 * Tells the brokers how far a group has come, one request at a time: what is taken while one is on its way goes with the
 * next. Nothing waits for it but a source that ends; what isn't told is fetched again, and known by its id.
 */
import type { Clock, Logger } from "../../ports.ts";
import { protocolError } from "./failure.ts";

/** As kafkajs takes it: the offset is that of the next record to read. */
export interface Offsets {
  topics: { topic: string; partitions: { partition: number; offset: string }[] }[];
}

export type SendOffsets = (offsets: Offsets) => Promise<void>;

/** The group has gone on without us: who has the partition now reads from what was committed before. */
const REBALANCED = new Set([
  "REBALANCE_IN_PROGRESS",
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "FENCED_INSTANCE_ID",
]);
/** Until a commit that failed is tried again, in ms. */
const AGAIN_MS = 1_000;

export class Commits {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #forbidden: (error: unknown) => void;
  readonly #next = new Map<string, Map<number, number>>();
  #send: SendOffsets | null = null;
  #running: Promise<void> | null = null;
  #cancelRetry: (() => void) | null = null;

  /** `forbidden` is told of what no further try can mend. */
  constructor(clock: Clock, log: Logger, forbidden: (error: unknown) => void) {
    this.#clock = clock;
    this.#log = log;
    this.#forbidden = forbidden;
  }

  add(topic: string, partition: number, next: number, send: SendOffsets): void {
    let partitions = this.#next.get(topic);
    if (partitions === undefined) this.#next.set(topic, (partitions = new Map()));
    partitions.set(partition, next);
    this.#send = send;
    this.#start();
  }

  /** What isn't ours any more is another's to commit. */
  keep(ours: (topic: string, partition: number) => boolean): void {
    for (const [topic, partitions] of this.#next) {
      for (const partition of partitions.keys()) if (!ours(topic, partition)) partitions.delete(partition);
      if (partitions.size === 0) this.#next.delete(topic);
    }
  }

  /** Resolves when all is told, or couldn't be. Never rejects. */
  async flush(): Promise<void> {
    this.#start();
    while (this.#running !== null) {
      await this.#running;
      if (this.#cancelRetry !== null) return;
      this.#start();
    }
  }

  close(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#next.clear();
  }

  #start(): void {
    if (this.#running !== null || this.#next.size === 0 || this.#send === null) return;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    const send = this.#send;
    const offsets = this.#takeAll();
    this.#running = send(offsets)
      .catch((error: unknown) => this.#failed(offsets, error))
      .finally(() => {
        this.#running = null;
        if (this.#cancelRetry === null) this.#start();
      });
  }

  #takeAll(): Offsets {
    const topics = [...this.#next].map(([topic, partitions]) => ({
      topic,
      partitions: [...partitions].map(([partition, next]) => ({ partition, offset: String(next) })),
    }));
    this.#next.clear();
    return { topics };
  }

  #failed(offsets: Offsets, error: unknown): void {
    const type = protocolError(error);
    if (REBALANCED.has(type)) return;
    if (type.endsWith("_AUTHORIZATION_FAILED")) {
      this.#forbidden(error);
      return;
    }
    this.#log.debug({ err: error }, "the place couldn't be committed; it is tried again");
    for (const { topic, partitions } of offsets.topics) {
      for (const { partition, offset } of partitions) this.#putBack(topic, partition, Number(offset));
    }
    this.#cancelRetry = this.#clock.after(AGAIN_MS, () => {
      this.#cancelRetry = null;
      this.#start();
    });
  }

  #putBack(topic: string, partition: number, next: number): void {
    let partitions = this.#next.get(topic);
    if (partitions === undefined) this.#next.set(topic, (partitions = new Map()));
    partitions.set(partition, Math.max(next, partitions.get(partition) ?? 0));
  }
}
