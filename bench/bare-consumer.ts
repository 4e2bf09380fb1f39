/**
 * `node bare-consumer.ts PORT kafka|mqtt|rabbitmq ADDRESS NAME GROUP`: the baseline of the rows "into the journal": takes
 * each message and says yes to the broker at once, keeping nothing, with the same client library and the same limits as
 * Leat's source has by default. NAME is the topic or the queue; GROUP the group, or the client's name. GET / tells how
 * many it took, as receiver.ts does.
 */
import { createServer } from "node:http";
import amqp from "amqplib";
import { Kafka, logLevel } from "kafkajs";
import mqtt from "mqtt";

const [port, protocol = "", address = "", name = "", group = ""] = process.argv.slice(2);
let count = 0;
let last = 0n;

const took = (messages: number) => {
  count += messages;
  last = process.hrtime.bigint();
};

async function kafka(): Promise<void> {
  const client = new Kafka({ brokers: [address], logLevel: logLevel.ERROR });
  const consumer = client.consumer({ groupId: group });
  await consumer.connect();
  await consumer.subscribe({ topic: name, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: 4,
    async eachBatch({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat }) {
      took(batch.messages.length);
      const offset = batch.lastOffset();
      resolveOffset(offset);
      const next = String(BigInt(offset) + 1n);
      await commitOffsetsIfNecessary({
        topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset: next }] }],
      });
      await heartbeat();
    },
  });
}

/** mqtt acknowledges a message of QoS 1 by itself, once its listeners have returned. */
async function mqttConsumer(): Promise<void> {
  const client = mqtt.connect(address, {
    protocolVersion: 5,
    clientId: group,
    clean: false,
    properties: { sessionExpiryInterval: 3_600, receiveMaximum: 1_000 },
  });
  client.on("message", () => took(1));
}

async function rabbitmq(): Promise<void> {
  const connection = await amqp.connect(address);
  const channel = await connection.createChannel();
  await channel.prefetch(1_000);
  await channel.consume(name, (message) => {
    if (message === null) return;
    took(1);
    channel.ack(message);
  });
}

createServer((_request, response) => {
  response.end(JSON.stringify({ count, last: String(last) }));
}).listen(Number(port), "127.0.0.1");

await (protocol === "kafka" ? kafka() : protocol === "mqtt" ? mqttConsumer() : rabbitmq());
