/** Puts messages into a broker before a turn, so that no publisher takes the processor from who is measured. */
import { randomUUID } from "node:crypto";
import amqp from "amqplib";
import { Kafka, logLevel } from "kafkajs";
import mqtt from "mqtt";

export const PARTITIONS = 4;
const VALUE_BYTES = 700;
const KEYS = 1_000;

/** 700 bytes of JSON, each of its own. */
function value(n: number): Buffer {
  const order = { id: randomUUID(), number: n, customer: `c-${n % KEYS}`, total: 42.5, currency: "EUR" };
  const text = JSON.stringify({ ...order, pad: "" });
  return Buffer.from(JSON.stringify({ ...order, pad: "x".repeat(VALUE_BYTES - text.length) }));
}

/** Makes the topic, with 4 partitions, and puts `count` records into it, keyed by 1,000 customers. */
export async function preloadKafka(bootstrap: string, topic: string, count: number): Promise<void> {
  const client = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR });
  const admin = client.admin();
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] });
  await admin.disconnect();
  const producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  for (let from = 0; from < count; from += 1_000) {
    const messages = Array.from({ length: Math.min(1_000, count - from) }, (_, n) => ({
      key: `c-${(from + n) % KEYS}`,
      value: value(from + n),
    }));
    await producer.send({ topic, acks: -1, messages });
  }
  await producer.disconnect();
}

/** Records in the topic. */
export async function kafkaDepth(bootstrap: string, topic: string): Promise<number> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR }).admin();
  await admin.connect();
  try {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  } finally {
    await admin.disconnect();
  }
}

/** Makes the session of `clientId`, subscribed to `topic` with QoS 1, and publishes `count` messages that wait in it. */
export async function preloadMqtt(
  url: string,
  clientId: string,
  topic: string,
  count: number,
): Promise<void> {
  const session = { protocolVersion: 5, properties: { sessionExpiryInterval: 3_600 } } as const;
  const reader = await mqtt.connectAsync(url, { ...session, clientId, clean: false });
  await reader.subscribeAsync(topic, { qos: 1 });
  await reader.endAsync();
  const writer = await mqtt.connectAsync(url, { protocolVersion: 5 });
  for (let from = 0; from < count; from += 500) {
    const burst = Array.from({ length: Math.min(500, count - from) }, (_, n) =>
      writer.publishAsync(topic, value(from + n), { qos: 1 }),
    );
    await Promise.all(burst);
  }
  await writer.endAsync();
}

/** Makes the quorum queue and puts `count` persistent messages into it, each with an id. */
export async function preloadRabbitmq(url: string, queue: string, count: number): Promise<void> {
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  for (let from = 0; from < count; from += 1_000) {
    for (let n = from; n < Math.min(from + 1_000, count); n++) {
      channel.sendToQueue(queue, value(n), {
        persistent: true,
        messageId: randomUUID(),
        contentType: "application/json",
      });
    }
    await channel.waitForConfirms();
  }
  await connection.close();
}
