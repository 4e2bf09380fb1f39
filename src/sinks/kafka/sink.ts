/**
 * The `kafka` sink: writes each event as a record, and counts it as delivered when all replicas in sync have it.
 *
 * Deliveries that are under way at once go together in few requests, so many are let in by default.
 */
import { openClient } from "../../brokers/kafka/client.ts";
import { bootstrapList, kafkaConnection } from "../../brokers/kafka/connection.ts";
import { look } from "../../brokers/kafka/looking.ts";
import { RecordProducer } from "../../brokers/kafka/producer.ts";
import type { Outcome } from "../../brokers/kafka/requests.ts";
import { type Supervised, supervise } from "../../brokers/supervise.ts";
import { unlessAborted } from "../../brokers/wait.ts";
import type {
  Message,
  PushedSink,
  PushedSinkHost,
  PushedSinkType,
  Report,
  Standing,
} from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { type KafkaSinkConfig, kafkaSinkSchema } from "./config.ts";
import { RecordOf } from "./record.ts";

const CONCURRENCY = 500;
const TOPIC_NAME = /^[A-Za-z0-9._-]{1,249}$/;

class KafkaSink implements PushedSink {
  readonly #config: KafkaSinkConfig;
  readonly #host: PushedSinkHost;
  readonly #records: RecordOf;
  #supervised: Supervised | null = null;
  /** Resolves with the next life's producer. */
  #coming = Promise.withResolvers<RecordProducer>();
  #producer: RecordProducer | null = null;
  #stopping = false;
  #standing: Standing = { state: "waiting", error: "connecting", message: "not connected yet" };

  constructor(config: KafkaSinkConfig, host: PushedSinkHost) {
    this.#config = config;
    this.#host = host;
    this.#records = new RecordOf(config);
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands = (standing: Standing) => {
      this.#standing = standing;
      this.#host.stands(standing);
    };
    this.#supervised = supervise({ clock, log, stands, chance: systemChance }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async deliver(message: Message, signal: AbortSignal): Promise<Report> {
    const record = this.#records.of(message);
    if (!TOPIC_NAME.test(record.topic)) {
      return {
        result: "rejected",
        error: "topic_name",
        message: "what its topic is made of is no topic's name",
      };
    }
    for (;;) {
      // An outage that ends within the sink's time-out costs no attempt.
      const producer = this.#producer ?? (await unlessAborted(this.#coming.promise, signal));
      if (producer === null) return this.#notConnected();
      const outcome = await unlessAborted(producer.write(record, signal), signal);
      if (outcome === null) return UNANSWERED;
      // What a life that ended never sent waits for the next one; there is none once we stop.
      if (outcome.written || outcome.unsent !== true || this.#stopping) return reportOf(outcome);
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#supervised?.stop();
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#host;
    // Without kafkajs' own retries: what is wrong is known at once.
    await look(this.#config, log, signal, async () => {});
    let producer: RecordProducer | null = null;
    const client = openClient(this.#config, {
      log,
      // A broker that closes idle connections is fine; one that is gone should be known before the next event comes.
      alone: () => {
        look(this.#config, log, signal, async () => {}).catch((error: unknown) => producer?.fail(error));
      },
    });
    const made = (producer = new RecordProducer(client, {
      compression: this.#config.compression,
      clock,
      chance: systemChance,
      exists: (topic) => look(this.#config, log, signal, (looking) => looking.topic(topic), `topic ${topic}`),
      over: () => {
        if (this.#producer === null) return;
        this.#producer = null;
        this.#coming = Promise.withResolvers();
      },
    }));
    const upWith = () => {
      this.#producer = made;
      this.#coming.resolve(made);
      up();
    };
    await made.run(upWith, signal);
  }

  #notConnected(): Report {
    const standing = this.#standing;
    return standing.state === "waiting"
      ? { result: "failed", error: standing.error, message: standing.message }
      : UNANSWERED;
  }
}

const UNANSWERED: Report = {
  result: "failed",
  error: "timeout",
  message: "the brokers didn't confirm it in time; it may have been written all the same",
};

function reportOf(outcome: Outcome): Report {
  if (outcome.written) return { result: "delivered" };
  const { error, message } = outcome.error;
  return { result: outcome.final ? "rejected" : "failed", error, message };
}

export const kafkaSink: PushedSinkType<KafkaSinkConfig> = {
  kind: "pushed",
  type: "kafka",
  description:
    "Writes each event as a record of a Kafka topic, and takes the acknowledgement of all replicas for a yes.",
  schema: kafkaSinkSchema,
  connection: kafkaConnection,
  concurrency: CONCURRENCY,
  templates: ["topic", "key"],
  writes: (config, { topic = "" }) =>
    topic.includes("{{") ? null : `kafka ${bootstrapList(config).join(",")} ${topic}`,
  givesBack: () => false,
  create: (config, host) => new KafkaSink(config, host),
};
