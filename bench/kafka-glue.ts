/**
 * `node kafka-glue.ts PORT BROKER TOPIC GROUP RECEIVER CONCURRENCY`: the baseline of "Kafka to webhook", what one would
 * write by hand: kafkajs gives batches, undici posts each record, so many at once, and the batch's offset is committed
 * once all were answered. It stores nothing, tries nothing again and heeds no order of keys.
 */
import { createServer } from "node:http";
import { Kafka, logLevel } from "kafkajs";
import { Pool } from "undici";

const [port, broker = "", topic = "", groupId = "", receiver = "", most = "1"] = process.argv.slice(2);
const concurrency = Number(most);
const pool = new Pool(receiver, { connections: concurrency, pipelining: 1 });

async function post(body: Buffer | null): Promise<void> {
  const answer = await pool.request({
    method: "POST",
    path: "/",
    headers: { "content-type": "application/json" },
    body,
  });
  await answer.body.dump();
  if (answer.statusCode >= 300) throw new Error(`the receiver answered ${answer.statusCode}`);
}

createServer((_request, response) => response.end("{}")).listen(Number(port), "127.0.0.1");

const consumer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).consumer({ groupId });
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachBatchAutoResolve: false,
  async eachBatch({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat }) {
    let next = 0;
    const worker = async () => {
      for (let n = next++; n < batch.messages.length; n = next++) {
        await post(batch.messages[n]?.value ?? null);
        if (n % 500 === 0) await heartbeat();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    const offset = batch.lastOffset();
    resolveOffset(offset);
    await commitOffsetsIfNecessary({
      topics: [
        {
          topic,
          partitions: [{ partition: batch.partition, offset: String(BigInt(offset) + 1n) }],
        },
      ],
    });
    await heartbeat();
  },
});
