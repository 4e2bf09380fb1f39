/**
 * Writes records, for one life of a connection: idempotent, acknowledged by all replicas, one request at a time.
 *
 * One at a time, and a new producer id after each failure, because kafkajs takes a request's sequence numbers back when
 * it fails, although the brokers may have written it: the next records of that partition would get the same numbers,
 * and be dropped as repeats with a yes. Only the same request may be tried again, so a record's partition is chosen once.
 * What comes while a request is under way goes together in the next one.
 */
import type { Message, ProducerConfig, RecordMetadata } from "kafkajs";
import type { Chance, Clock } from "../../ports.ts";
import { BrokerError } from "../supervise.ts";
import { type Client, REQUEST_MS } from "./client.ts";
import { asBrokerError, protocolError } from "./failure.ts";
import { KnownTopics } from "./known-topics.ts";
import { partitionOf } from "./murmur2.ts";
import type { OutgoingRecord } from "./port.ts";
import { type Outcome, Requests, type Waiting } from "./requests.ts";

export const COMPRESSIONS = ["none", "gzip", "snappy", "zstd"] as const;
export type Compression = (typeof COMPRESSIONS)[number];
const CODEC_NUMBER: Readonly<Record<Compression, number>> = { none: 0, gzip: 1, snappy: 2, zstd: 4 };

/** How long the brokers may wait for their replicas, in ms. */
const REPLICAS_MS = 10_000;
/** An orderly end may take so long, in ms. */
const GRACE_MS = 3_000;

/** Of the record itself: no other time would be better for it. */
const FINAL = new Set([
  "MESSAGE_TOO_LARGE",
  "RECORD_LIST_TOO_LARGE",
  "INVALID_RECORD",
  "INVALID_TIMESTAMP",
  "INVALID_TOPIC_EXCEPTION",
]);
/** Of one topic: the connection is fine. */
const OF_TOPIC = new Set([
  ...FINAL,
  "TOPIC_AUTHORIZATION_FAILED",
  "UNKNOWN_TOPIC_OR_PARTITION",
  "NOT_ENOUGH_REPLICAS",
  "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
]);

export interface ProducerOptions {
  readonly compression: Compression;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Rejects with a BrokerError where a topic isn't there, or nobody knows. */
  exists(topic: string): Promise<void>;
  /** This life writes no more; its end, with what is on its way, takes some seconds yet. */
  over(): void;
}

type Producer = ReturnType<Client["kafka"]["producer"]>;

/** Records without a key that go together go to one partition, and so into one batch. */
interface OurMessage extends Message {
  readonly together: { partition: number | null };
}

export class RecordProducer {
  readonly #client: Client;
  readonly #options: ProducerOptions;
  readonly #topics: KnownTopics;
  readonly #requests = new Requests();
  readonly #over = Promise.withResolvers<void>();
  #producer: Producer | null = null;
  #working: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(client: Client, options: ProducerOptions) {
    this.#client = client;
    this.#options = options;
    this.#topics = new KnownTopics(options.clock, options.exists);
    // Whoever runs it listens; what fails before that is told then.
    this.#over.promise.catch(() => {});
  }

  /** Never rejects. Once `signal` has aborted, what isn't on its way is not sent any more. */
  write(record: OutgoingRecord, signal: AbortSignal): Promise<Outcome> {
    const why = this.#topics.why(record.topic);
    if (why === null) return this.#enqueue(record, signal);
    return Promise.resolve(why).then((error) =>
      error === null ? this.#enqueue(record, signal) : { written: false, error, final: false },
    );
  }

  /** One life. Resolves once `signal` has aborted; rejects with a BrokerError. */
  async run(up: () => void, signal: AbortSignal): Promise<void> {
    const end = () => this.#over.resolve();
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
    try {
      await Promise.race([this.#connected(), this.#over.promise]);
      if (signal.aborted) return;
      up();
      this.#working = this.#work();
      this.#working.catch((error: unknown) => this.fail(error));
      await this.#over.promise;
    } catch (error) {
      throw asBrokerError(error, this.#client.where);
    } finally {
      signal.removeEventListener("abort", end);
      await this.#end();
    }
  }

  /** Ends this life. */
  fail(error: unknown): void {
    this.#over.reject(asBrokerError(error, this.#client.where));
  }

  #enqueue(record: OutgoingRecord, signal: AbortSignal): Promise<Outcome> {
    if (this.#ended) return Promise.resolve(UNSENT);
    return new Promise((settle) => this.#requests.add({ record, signal, settle }));
  }

  async #connected(): Promise<Producer> {
    if (this.#producer !== null) return this.#producer;
    const config: ProducerConfig = {
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: () => (choice) => choosePartition(choice, this.#options.chance),
    };
    const producer = this.#client.kafka.producer(config);
    await producer.connect();
    this.#producer = producer;
    return producer;
  }

  async #work(): Promise<void> {
    while (!this.#ended) {
      await this.#requests.some();
      // What comes in one turn of the event loop goes together.
      await new Promise((resolve) => setImmediate(resolve));
      const request = this.#requests.next();
      if (request.length > 0 && !this.#ended) await this.#send(request);
    }
  }

  async #send(request: readonly Waiting[]): Promise<void> {
    try {
      const messages = messagesOf(request.map(({ record }) => record));
      const topic = request[0]?.record.topic ?? "";
      const written = await this.#within(REQUEST_MS + GRACE_MS, this.#produce(topic, messages));
      const lost = messages.findIndex((message) => !confirmed(written, message));
      if (lost !== -1) throw new BrokerError("unconfirmed", "the brokers have said nothing of a record");
      for (const { settle } of request) settle({ written: true });
    } catch (error) {
      await this.#failed(request, error);
    }
  }

  async #produce(topic: string, messages: OurMessage[]): Promise<RecordMetadata[]> {
    const producer = await this.#connected();
    return producer.send({
      topic,
      messages,
      acks: -1,
      timeout: REPLICAS_MS,
      compression: CODEC_NUMBER[this.#options.compression],
    });
  }

  async #failed(request: readonly Waiting[], error: unknown): Promise<void> {
    const type = protocolError(error);
    const topic = request[0]?.record.topic ?? "";
    if (type === "UNKNOWN_TOPIC_OR_PARTITION") this.#topics.forget(topic);
    this.#renounce();
    if (FINAL.has(type) && request.length > 1) {
      // One of them spoils it: halves find out which.
      const middle = request.length >> 1;
      await this.#send(request.slice(0, middle));
      await this.#send(request.slice(middle));
      return;
    }
    const meant = asBrokerError(error, `topic ${topic}`);
    for (const { settle } of request) settle({ written: false, error: meant, final: FINAL.has(type) });
    if (!OF_TOPIC.has(type)) this.fail(meant);
  }

  /** Of this producer id, nothing more is written. */
  #renounce(): void {
    const producer = this.#producer;
    this.#producer = null;
    producer?.disconnect().catch(() => {});
  }

  async #end(): Promise<void> {
    this.#ended = true;
    this.#options.over();
    for (const { settle } of this.#requests.clear()) settle(UNSENT);
    this.#requests.wake();
    await this.#within(GRACE_MS, this.#working).catch(() => {});
    await this.#within(GRACE_MS, this.#producer?.disconnect() ?? Promise.resolve()).catch(() => {});
    this.#client.destroy();
    await this.#within(GRACE_MS, this.#working).catch(() => {});
  }

  /** Rejects when it takes longer. */
  async #within<T>(ms: number, what: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => {});
    const cancel = this.#options.clock.after(ms, () => {
      late.reject(new BrokerError("timeout", `${this.#client.where}: the brokers don't answer`));
    });
    try {
      return await Promise.race([what, late.promise]);
    } finally {
      cancel();
      what.catch(() => {});
    }
  }
}

const UNSENT: Outcome = {
  written: false,
  error: new BrokerError("closed", "the connection has just been lost"),
  final: false,
  unsent: true,
};

function messagesOf(records: readonly OutgoingRecord[]): OurMessage[] {
  const together = { partition: null };
  return records.map(({ key, value, headers }) => ({
    key,
    value,
    headers: headersOf(headers),
    together,
  }));
}

/** Repeats of a name become a list, as kafkajs wants them. */
function headersOf(
  headers: OutgoingRecord["headers"],
): Record<string, Buffer | string | (Buffer | string)[]> {
  // Without a prototype: `__proto__` is a valid name.
  const all: Record<string, Buffer | string | (Buffer | string)[]> = Object.create(null);
  for (const [name, value] of headers) {
    const before = all[name];
    if (before === undefined) all[name] = value;
    else all[name] = [before, value].flat();
  }
  return all;
}

/** As Java's clients do: by the key's hash; without one, a whole request goes to one partition, the next to another. */
function choosePartition(
  {
    partitionMetadata,
    message,
  }: { partitionMetadata: { partitionId: number; leader: number }[]; message: Message },
  chance: Chance,
): number {
  const ours = message as OurMessage;
  if (ours.partition === undefined) {
    if (Buffer.isBuffer(ours.key)) ours.partition = partitionOf(ours.key, partitionMetadata.length);
    else {
      const led = partitionMetadata.filter(({ leader }) => leader >= 0);
      const from = led.length > 0 ? led : partitionMetadata;
      ours.together.partition ??= from[Math.floor(chance.random() * from.length)]?.partitionId ?? 0;
      ours.partition = ours.together.partition;
    }
  }
  return ours.partition;
}

/** kafkajs forgets a partition whose leader moves to a broker that has already answered, and calls that a success. */
function confirmed(written: readonly RecordMetadata[], { partition }: OurMessage): boolean {
  return written.some((one) => one.partition === partition && one.errorCode === 0);
}
