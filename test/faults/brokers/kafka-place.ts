import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Kafka, logLevel, type Producer } from "kafkajs";
import { startKafka } from "../../brokers/kafka.ts";
import { required } from "../../brokers/programs.ts";
import { startProxy } from "../../brokers/proxy.ts";
import { type Family, NAMES, type Place, type Read, Renewed, within } from "./family.ts";

const PARTITIONS = 4;

export const kafkaFamily: Family = { name: "kafka", open };

async function open(): Promise<Place> {
  const broker = await startKafka();
  const { target, advertised } = broker.proxied;
  const proxy = await startProxy(target, { port: advertised });
  // No retries: kafkajs would send one again whose answer was lost, and then it is there twice, as two records.
  const client = () =>
    new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 0 } });
  const admin = client().admin();
  await admin.createTopics({
    topics: NAMES.map((topic) => ({ topic, numPartitions: PARTITIONS })),
  });
  await admin.disconnect();
  const producer = new Renewed<Producer>(
    async () => {
      const made = client().producer();
      await made.connect();
      return made;
    },
    (made) => made.disconnect(),
  );

  const read: Read[] = [];
  const reader = spawn(
    required("kcat"),
    ["-C", "-q", "-E", "-u", "-b", broker.bootstrap, "-t", "out", "-o", "beginning", "-f", "%h\\t%s\\n"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  createInterface({ input: reader.stdout }).on("line", (line) => {
    const [headers = "", body = ""] = line.split("\t");
    const leatId = headers
      .split(",")
      .find((header) => header.startsWith("leat-id="))
      ?.slice("leat-id=".length);
    read.push({ id: (JSON.parse(body) as { id: string }).id, leatId: leatId ?? "" });
  });

  const brokers = `127.0.0.1:${proxy.port}`;
  return {
    broker,
    proxy,
    source: (topic, more = "") =>
      `{ type: kafka, brokers: "${brokers}", topics: [${topic}], group: leat-${topic}, start: earliest${more} }`,
    sink: (topic) => `{ type: kafka, brokers: "${brokers}", topic: ${topic} }`,
    send: (id, topic = "in") =>
      producer.with(async (made) => {
        const messages = [{ key: id, value: JSON.stringify({ id }) }];
        await within(5_000, made.send({ topic, acks: -1, messages }));
      }),
    read,
    async close() {
      await producer.close();
      const gone = once(reader, "exit");
      reader.kill("SIGKILL");
      await gone;
      await proxy.close();
      await broker.close();
    },
  };
}
