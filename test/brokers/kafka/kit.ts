/** A real Kafka for the tests of its source and sink, topics of their own, and hosts that take what comes. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { after, before, type TestContext } from "node:test";
import { promisify } from "node:util";
import { type Admin, type IHeaders, Kafka, logLevel, type Producer } from "kafkajs";
import { mendKafkajs } from "../../../src/brokers/kafka/kafkajs-mends.ts";
import type { HasLag, Message, PushedSink, Report, Source, Standing } from "../../../src/component.ts";
import { systemClock } from "../../../src/ports.ts";
import { kafkaSink } from "../../../src/sinks/kafka/sink.ts";
import { kafkaSource } from "../../../src/sources/kafka/source.ts";
import { newEvent } from "../../delivery/kit.ts";
import { keptLog } from "../../http/log.ts";
import { TestHost } from "../../sources/host.ts";
import { waitFor } from "../../wait-for.ts";
import { required } from "../programs.ts";
import { type SharedKafka, sharedKafka } from "../shared.ts";

/** Packs also with snappy and zstd, which kafkajs alone doesn't know. */
mendKafkajs();

export interface Cluster {
  readonly bootstrap: string;
  readonly admin: Admin;
  readonly producer: Producer;
  /** A topic of its own; it is there when this resolves. */
  topic(partitions?: number, config?: Readonly<Record<string, string>>): Promise<string>;
  produce(topic: string, messages: readonly Produced[], compression?: number): Promise<void>;
  /** How far a group has come, by partition; -1 for nowhere. */
  committed(group: string, topic: string): Promise<Record<number, number>>;
}

export interface Produced {
  readonly key?: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly partition?: number;
  readonly headers?: IHeaders;
  readonly timestamp?: string;
}

/** For the tests of one file; `started` may hold one that it starts itself. */
export function cluster(start: () => Promise<SharedKafka> = sharedKafka): Cluster {
  let kafka: SharedKafka;
  let admin: Admin;
  let producer: Producer;
  before(async () => {
    kafka = await start();
    const client = new Kafka({ brokers: [kafka.bootstrap], logLevel: logLevel.NOTHING });
    admin = client.admin();
    producer = client.producer();
    await Promise.all([admin.connect(), producer.connect()]);
  });
  after(async () => {
    await Promise.allSettled([admin.disconnect(), producer.disconnect()]);
    await kafka.close();
  });
  return {
    get bootstrap() {
      return kafka.bootstrap;
    },
    get admin() {
      return admin;
    },
    get producer() {
      return producer;
    },
    async topic(partitions = 1, config = {}) {
      const topic = `t-${randomUUID()}`;
      const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
      return topic;
    },
    async produce(topic, messages, compression = 0) {
      await producer.send({ topic, messages: [...messages], compression });
    },
    async committed(group, topic) {
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      return Object.fromEntries(
        (found?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]),
      );
    },
  };
}

/** As the daemon's, but what is appended goes into a list. */
export class KafkaHost extends TestHost {
  override readonly clock = systemClock;
  readonly kept = keptLog();
  override readonly log = this.kept.log;

  bodies(): string[] {
    return this.appended.map(({ body }) => Buffer.from(body).toString());
  }

  get standing(): Standing | undefined {
    return this.standings.at(-1);
  }

  /** Waits until so many events are there. */
  async events(count: number, timeoutMs = 20_000): Promise<KafkaHost["appended"]> {
    await waitFor(
      `${count} events, of which ${this.appended.length} came`,
      () => this.appended.length >= count,
      timeoutMs,
    );
    return this.appended;
  }
}

/** A source, started and, after the test, stopped. */
export async function reading(
  t: TestContext,
  host: KafkaHost,
  config: Readonly<Record<string, unknown>>,
): Promise<Source & HasLag> {
  const parsed = kafkaSource.schema.parse({ group: `g-${randomUUID()}`, ...config });
  const source = kafkaSource.create(parsed, host) as Source & HasLag;
  await source.start();
  t.after(() => source.stop());
  return source;
}

export interface WritingSink extends PushedSink {
  readonly standings: Standing[];
}

/** A sink, started and, after the test, stopped. */
export async function writing(
  t: TestContext,
  config: Readonly<Record<string, unknown>>,
): Promise<WritingSink> {
  const standings: Standing[] = [];
  const sink = kafkaSink.create(kafkaSink.schema.parse(config), {
    name: "warehouse",
    clock: systemClock,
    log: keptLog().log,
    answerBytes: { failure: 1024, success: 256 },
    stands: (standing) => standings.push(standing),
  });
  await sink.start();
  t.after(() => sink.stop());
  return Object.assign(sink, { standings });
}

export function message(over: Partial<Message> = {}): Message {
  const event = over.event ?? { ...newEvent({ source: "shop", id: randomUUID() }), seq: 1 };
  return {
    event,
    body: event.body,
    contentType: "application/json",
    fields: {},
    route: "orders",
    subscription: "orders/warehouse",
    attempt: 1,
    replay: 0,
    hops: 1,
    ...over,
  };
}

export function deliver(sink: PushedSink, over: Partial<Message> = {}, timeoutMs = 15_000): Promise<Report> {
  return sink.deliver(message(over), AbortSignal.timeout(timeoutMs));
}

/** What is in a topic, read by a client that isn't ours: `kcat`. A line a record: partition, key, headers, value. */
export async function kcat(bootstrap: string, topic: string): Promise<string[]> {
  const format = "%p|%k|%h|%s\\n";
  const args = ["-C", "-e", "-q", "-b", bootstrap, "-t", topic, "-o", "beginning", "-f", format];
  const { stdout } = await promisify(execFile)(required("kcat"), args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout.split("\n").filter((line) => line !== "");
}

/** Writes a record packed with lz4, which kafkajs doesn't know and our source can't read. */
export async function lz4(bootstrap: string, topic: string, partition: number): Promise<void> {
  const args = ["-P", "-b", bootstrap, "-t", topic, "-p", String(partition), "-z", "lz4"];
  const child = spawn(required("kcat"), args);
  child.stdin.end("a".repeat(2_000));
  assert.deepEqual(await once(child, "exit"), [0, null]);
}
