/**
 * Brokers that many tests share: those that the environment names (`npm test` sets it, test/with-brokers.ts), else one
 * of this process's own. A test that stops, cuts or fills one starts its own instead. Each uses topics and queues of its
 * own (`randomUUID`), for others are there too.
 */
import { startKafka } from "./kafka.ts";
import { startMosquitto } from "./mosquitto.ts";
import { startRabbitmq } from "./rabbitmq.ts";

/** What the environment may name: `host:port`, `mqtt://…`, `amqp://…`. */
export const VARIABLES = {
  kafka: "LEAT_TEST_KAFKA",
  mqtt: "LEAT_TEST_MQTT",
  rabbitmq: "LEAT_TEST_RABBITMQ",
} as const;

export interface SharedKafka {
  /** `host:port`. */
  readonly bootstrap: string;
  readonly port: number;
  /** Ends it if it is ours. */
  close(): Promise<void>;
}

export interface SharedBroker {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

const notOurs = async () => {};

export async function sharedKafka(): Promise<SharedKafka> {
  const bootstrap = process.env[VARIABLES.kafka];
  if (!bootstrap) return startKafka();
  return { bootstrap, port: Number(bootstrap.split(":").at(-1)), close: notOurs };
}

export async function sharedMqtt(): Promise<SharedBroker> {
  const url = process.env[VARIABLES.mqtt];
  return url ? { url, port: Number(new URL(url).port || 1883), close: notOurs } : startMosquitto();
}

export async function sharedRabbitmq(): Promise<SharedBroker> {
  const url = process.env[VARIABLES.rabbitmq];
  return url ? { url, port: Number(new URL(url).port || 5672), close: notOurs } : startRabbitmq();
}
