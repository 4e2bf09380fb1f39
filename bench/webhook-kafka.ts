/**
 * Webhook to Kafka, end to end: the sender's first webhook until the topic has the last record, acks from all, against
 * glue that produces each webhook and then answers.
 */
import { startKafka } from "../test/brokers/kafka.ts";
import { inFolder, PATH, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { kafkaDepth, preloadKafka } from "./preload.ts";
import { type Server, startScript } from "./process.ts";
import type { Row } from "./row.ts";
import { inTurns } from "./turns.ts";
import { wrk } from "./wrk.ts";

const TOPIC = "payments";
/** Asked so often, the broker hardly notices. */
const ASK_MS = 20;

interface Turn {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function webhookToKafka({ rounds, seconds }: Options): Promise<Row[]> {
  const kafka = await startKafka();
  const depth = () => kafkaDepth(kafka.bootstrap, TOPIC);
  const turn = async (server: Server): Promise<Turn> => {
    const before = await depth();
    const cpu = server.cpuSeconds();
    const start = performance.now();
    const load = await wrk({ url: server.url, path: PATH, seconds });
    const records = await allThere(depth, before + load.requests);
    const events = records - before;
    return {
      perSecond: events / ((performance.now() - start) / 1000),
      cpuMicros: ((server.cpuSeconds() - cpu) / events) * 1e6,
      p50Ms: load.p50Ms,
      p99Ms: load.p99Ms,
    };
  };
  try {
    await preloadKafka(kafka.bootstrap, TOPIC, 0);
    const turns = await inFolder(async (folder, started) => {
      const config = `sinks: { out: { type: kafka, brokers: "${kafka.bootstrap}", topic: ${TOPIC} } }\nroutes: { all: { from: github, to: out } }`;
      const leat = started(await startLeat({ config, folder }));
      const glue = started(await startScript("produce-glue.ts", folder, kafka.bootstrap, TOPIC));
      return inTurns(
        rounds,
        () => turn(leat),
        () => turn(glue),
      );
    });
    const [leat, baseline] = [turns.of("leat", "perSecond"), turns.of("baseline", "perSecond")];
    return [
      {
        row: "webhook to Kafka",
        unit: "webhooks/s",
        leat,
        baseline,
        against: "a Fastify that produces with kafkajs, acks all",
        compared: { by: "ratio", value: turns.ratio("perSecond") },
        bar: null,
        more: {
          leatCpuMicros: turns.of("leat", "cpuMicros"),
          baselineCpuMicros: turns.of("baseline", "cpuMicros"),
          leatP50Ms: turns.of("leat", "p50Ms"),
          leatP99Ms: turns.of("leat", "p99Ms"),
          baselineP50Ms: turns.of("baseline", "p50Ms"),
          baselineP99Ms: turns.of("baseline", "p99Ms"),
        },
      },
    ];
  } finally {
    await kafka.close();
  }
}

async function allThere(depth: () => Promise<number>, atLeast: number): Promise<number> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const count = await depth();
    if (count >= atLeast) return count;
    await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  }
  throw new Error(`the topic has ${await depth()} of ${atLeast}`);
}
