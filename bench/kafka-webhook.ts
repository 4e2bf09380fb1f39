/** Kafka to webhook: what waits in a topic, posted to a receiver, against glue of kafkajs and undici written by hand. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { startKafka } from "../test/brokers/kafka.ts";
import { arrived } from "./end-to-end.ts";
import { inFolder, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { preloadKafka } from "./preload.ts";
import { type Server, startScript } from "./process.ts";
import type { Row } from "./row.ts";
import { takeUp } from "./take-up.ts";
import { inTurns } from "./turns.ts";

/** About what the glue posts in a second here. */
const PER_SECOND = 12_000;
const CONCURRENCY = 64;
const TOPIC = "orders";

export async function kafkaToWebhook({ rounds, seconds }: Options): Promise<Row[]> {
  const kafka = await startKafka();
  const count = PER_SECOND * seconds;
  try {
    await preloadKafka(kafka.bootstrap, TOPIC, count);
    const turns = await inFolder(async (folder, started) => {
      const receiver = started(await startScript("receiver.ts", folder));
      const turn = async (start: (group: string) => Promise<Server>) => {
        const before = (await arrived(receiver)).count;
        const server = await start(`group-${randomUUID()}`);
        try {
          return await takeUp(server, async () => (await arrived(receiver)).count - before, count);
        } finally {
          await server.stop();
        }
      };
      const leat = (group: string) =>
        startLeat({
          sources: `sources: { orders: { type: kafka, brokers: "${kafka.bootstrap}", topics: [${TOPIC}], group: ${group}, start: earliest } }`,
          config: `sinks: { out: { type: webhook, url: "${receiver.url}/", concurrency: ${CONCURRENCY} } }\nroutes: { all: { from: orders, to: out } }`,
          folder,
          journal: join(folder, group),
        });
      const glue = (group: string) =>
        startScript(
          "kafka-glue.ts",
          folder,
          ...[kafka.bootstrap, TOPIC, group, receiver.url, String(CONCURRENCY)],
        );
      return inTurns(
        rounds,
        () => turn(leat),
        () => turn(glue),
      );
    });
    const against = "kafkajs and an undici pool, by hand";
    return [
      {
        row: "Kafka to webhook",
        unit: "records/s",
        leat: turns.of("leat", "perSecond"),
        baseline: turns.of("baseline", "perSecond"),
        against,
        compared: { by: "ratio", value: turns.ratio("perSecond") },
        bar: { least: 0.75 },
        more: {},
      },
      {
        row: "Kafka to webhook: processor time",
        unit: "µs a record",
        leat: turns.of("leat", "cpuMicros"),
        baseline: turns.of("baseline", "cpuMicros"),
        against,
        compared: { by: "ratio", value: turns.ratio("cpuMicros") },
        bar: null,
        more: {},
      },
    ];
  } finally {
    await kafka.close();
  }
}
