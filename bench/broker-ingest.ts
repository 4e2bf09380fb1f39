/**
 * Kafka, MQTT (QoS 1) and RabbitMQ into the journal: messages/s and processor time, against a bare consumer that only
 * acknowledges. Each turn is a new process with a new group, session or queue, and a new journal.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { startKafka } from "../test/brokers/kafka.ts";
import { startMosquitto } from "../test/brokers/mosquitto.ts";
import { startRabbitmq } from "../test/brokers/rabbitmq.ts";
import { inFolder, type Leat, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { preloadKafka, preloadMqtt, preloadRabbitmq } from "./preload.ts";
import { type Server, startScript } from "./process.ts";
import type { Row } from "./row.ts";
import { total } from "./scrape.ts";
import { type TakeUp, takeUp } from "./take-up.ts";
import { inTurns, type Turns } from "./turns.ts";

const BAR = { least: 0.5 };

/** One protocol: what waits for a turn, and the two that work it off. */
interface Side {
  /** About what a bare consumer takes in a second here. */
  readonly perSecond: number;
  /** Puts what waits for the turn named `turn` there. */
  load(turn: string, count: number): Promise<void>;
  /** YAML of Leat's source. */
  source(turn: string): string;
  /** Arguments of bare-consumer.ts. */
  bare(turn: string): string[];
  close(): Promise<void>;
}

export async function ingestKafka(options: Options): Promise<Row[]> {
  const kafka = await startKafka();
  // Each group reads the topic from its start, so it is filled once.
  const topic = "orders";
  const perSecond = 60_000;
  const filled = preloadKafka(kafka.bootstrap, topic, perSecond * options.seconds);
  return measure("Kafka into the journal", options, {
    perSecond,
    load: () => filled,
    source: (turn) =>
      `{ type: kafka, brokers: "${kafka.bootstrap}", topics: [${topic}], group: ${turn}, start: earliest }`,
    bare: (turn) => ["kafka", kafka.bootstrap, topic, turn],
    close: kafka.close,
  });
}

export async function ingestMqtt(options: Options): Promise<Row[]> {
  const mosquitto = await startMosquitto();
  return measure("MQTT into the journal", options, {
    perSecond: 20_000,
    load: (turn, count) => preloadMqtt(mosquitto.url, turn, turn, count),
    source: (turn) => `{ type: mqtt, url: "${mosquitto.url}", topics: [${turn}], client_id: ${turn} }`,
    bare: (turn) => ["mqtt", mosquitto.url, turn, turn],
    close: mosquitto.close,
  });
}

export async function ingestRabbitmq(options: Options): Promise<Row[]> {
  const rabbitmq = await startRabbitmq();
  return measure("RabbitMQ into the journal", options, {
    perSecond: 25_000,
    load: (turn, count) => preloadRabbitmq(rabbitmq.url, turn, count),
    source: (turn) => `{ type: rabbitmq, url: "${rabbitmq.url}", queue: ${turn} }`,
    bare: (turn) => ["rabbitmq", rabbitmq.url, turn, turn],
    close: rabbitmq.close,
  });
}

async function measure(row: string, { rounds, seconds }: Options, side: Side): Promise<Row[]> {
  const count = side.perSecond * seconds;
  try {
    const turns = await inFolder(async (folder) => {
      const leat = async () => {
        const turn = `leat-${randomUUID()}`;
        await side.load(turn, count);
        const sources = `sources: { broker: ${side.source(turn)} }`;
        const config = "sinks: {}\nroutes: {}\n";
        const server = await startLeat({ sources, config, folder, journal: join(folder, turn) });
        return ended(server, () => takeUp(server, () => journaled(server), count));
      };
      const bare = async () => {
        const turn = `bare-${randomUUID()}`;
        await side.load(turn, count);
        const server = await startScript("bare-consumer.ts", folder, ...side.bare(turn));
        return ended(server, () => takeUp(server, () => counted(server), count));
      };
      return inTurns(rounds, leat, bare);
    });
    return rowsOf(row, turns);
  } finally {
    await side.close();
  }
}

async function ended<T>(server: Server, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } finally {
    await server.stop();
  }
}

async function journaled(leat: Leat): Promise<number> {
  return total(await leat.metrics(), "leat_journal_events_total");
}

async function counted(server: Server): Promise<number> {
  return ((await (await fetch(server.url)).json()) as { count: number }).count;
}

function rowsOf(row: string, turns: Turns<TakeUp>): Row[] {
  const against = "a bare consumer that only acknowledges";
  return [
    {
      row,
      unit: "messages/s",
      leat: turns.of("leat", "perSecond"),
      baseline: turns.of("baseline", "perSecond"),
      against,
      compared: { by: "ratio", value: turns.ratio("perSecond") },
      bar: BAR,
      more: {},
    },
    {
      row: `${row}: processor time`,
      unit: "µs a message",
      leat: turns.of("leat", "cpuMicros"),
      baseline: turns.of("baseline", "cpuMicros"),
      against,
      compared: { by: "ratio", value: turns.ratio("cpuMicros") },
      bar: null,
      more: {},
    },
  ];
}
