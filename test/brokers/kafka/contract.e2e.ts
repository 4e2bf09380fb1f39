/**
 * What we lean on in kafkajs that it promises nowhere, or does against expectation. One that fails after a change of the
 * library says which part of `src/brokers/kafka/` to look at.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { type TestContext, test } from "node:test";
import kafkajs, { type EachBatchPayload, type Kafka } from "kafkajs";
import { openClient } from "../../../src/brokers/kafka/client.ts";
import type { BatchMessage } from "../../../src/brokers/kafka/kafkajs-mends.ts";
import { keptLog } from "../../http/log.ts";
import { waitFor } from "../../wait-for.ts";
import { cluster } from "./kit.ts";

const kafka = cluster();
const require = createRequire(import.meta.url);

function open(t: TestContext): Kafka {
  const connection = { brokers: [kafka.bootstrap], client_id: "contract", tls: false as const };
  const client = openClient(connection, { log: keptLog().log });
  t.after(() => client.destroy());
  return client.kafka;
}

type Consumer = ReturnType<Kafka["consumer"]>;

/** A consumer as `group.ts` runs it. */
async function consuming(
  t: TestContext,
  topic: string,
  eachBatch: (payload: EachBatchPayload) => Promise<void>,
): Promise<{ consumer: Consumer; crashes: { error: Error; restart: boolean }[]; fetches: () => number }> {
  const consumer = open(t).consumer({
    groupId: `g-${topic}`,
    maxWaitTimeInMs: 200,
    retry: { retries: 1, initialRetryTime: 50, restartOnFailure: async () => false },
  });
  const crashes: { error: Error; restart: boolean }[] = [];
  let fetched = 0;
  consumer.on(consumer.events.CRASH, ({ payload }) => crashes.push(payload));
  consumer.on(consumer.events.FETCH, () => fetched++);
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
  t.after(() => consumer.disconnect());
  return { consumer, crashes, fetches: () => fetched };
}

test("it is the version whose inside we know", () => {
  const { version }: { version: string } = require("kafkajs/package.json");
  assert.equal(version, "2.2.4");
});

test("kafkajs-mends: a message in eachBatch is a whole batch, and the place asked for is known", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }, { value: "b" }, { value: "c" }]);
  const seen: { offset: string; count: number; from: unknown }[] = [];
  await consuming(t, topic, async ({ batch, resolveOffset }) => {
    for (const message of batch.messages as unknown as BatchMessage[]) {
      seen.push({
        offset: message.offset,
        count: message.batch.count,
        from: Reflect.get(batch, "fetchedOffset"),
      });
      resolveOffset(message.offset);
    }
  });
  await waitFor("the batch", () => seen.length === 1);
  assert.deepEqual(seen, [{ offset: "2", count: 3, from: "0" }]);
});

test("group: what wasn't resolved is fetched again, without waiting for a rebalance", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }]);
  let calls = 0;
  await consuming(t, topic, async ({ resolveOffset }) => {
    if (++calls === 3) resolveOffset("0");
  });
  await waitFor("three calls", () => calls === 3);
});

test("group: a batch in the middle of which a place is resolved comes again as a whole, with that place", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }, { value: "b" }, { value: "c" }]);
  const from: string[] = [];
  await consuming(t, topic, async ({ batch, resolveOffset }) => {
    from.push(String(Reflect.get(batch, "fetchedOffset")));
    resolveOffset(from.length === 1 ? "0" : "2");
  });
  await waitFor("the second part", () => from.length === 2);
  assert.deepEqual(from, ["0", "1"]);
});

test("kafkajs-mends: while a batch is in hand the next one is fetched, and what isn't resolved comes again all the same", async (t) => {
  const topic = await kafka.topic();
  // Each is a batch of its own, and two are more than one fetch of a partition holds.
  for (let n = 0; n < 4; n++) await kafka.produce(topic, [{ value: Buffer.alloc(600 * 1024, 0x61 + n) }]);
  const from: string[] = [];
  let fetched = 0;
  let ahead = 0;
  const { consumer } = await consuming(t, topic, async ({ batch, resolveOffset }) => {
    from.push(String(Reflect.get(batch, "fetchedOffset")));
    if (from.length === 1) {
      await waitFor("a second answer", () => fetched === 2);
      ahead = fetched;
    }
    if (from.length !== 2) resolveOffset(batch.messages.at(-1)?.offset ?? "");
  });
  consumer.on(consumer.events.REQUEST, ({ payload }) => {
    if (payload.apiName === "Fetch") fetched++;
  });
  await waitFor("the last batch", () => from.at(-1) === "3");
  assert.equal(ahead, 2);
  assert.deepEqual(from, ["0", "1", "1", "2", "3"]);
});

test("group: after a TypeError a consumer is dead, and says so once: nothing of it may get out of eachBatch", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }]);
  const { crashes } = await consuming(t, topic, async () => {
    throw new TypeError("boom");
  });
  await waitFor("the crash", () => crashes.length > 0);
  assert.equal(crashes[0]?.restart, false);
});

test("group: restartOnFailure keeps it from beginning anew by itself after any other error", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }]);
  let calls = 0;
  const { crashes } = await consuming(t, topic, async () => {
    calls++;
    throw new Error("boom");
  });
  await waitFor("the crash", () => crashes.length > 0);
  assert.equal(crashes[0]?.restart, false);
  assert.ok(calls <= 3);
});

test("watchdog: a consumer with nothing to read says that it fetches all the same", async (t) => {
  const { fetches } = await consuming(t, await kafka.topic(), async () => {});
  await waitFor("five fetches", () => fetches() >= 5, 5_000);
});

test("group: commitOffsetsIfNecessary with an argument commits it, at once", async (t) => {
  const topic = await kafka.topic();
  await kafka.produce(topic, [{ value: "a" }, { value: "b" }]);
  await consuming(t, topic, async ({ resolveOffset, commitOffsetsIfNecessary }) => {
    resolveOffset("1");
    await commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition: 0, offset: "2" }] }] });
  });
  await waitFor("the place", async () => (await kafka.committed(`g-${topic}`, topic))[0] === 2);
});

test("producer: the partition is asked for through createPartitioner, and one that is set once stays", async (t) => {
  const topic = await kafka.topic(4);
  const asked: number[] = [];
  const producer = open(t).producer({
    idempotent: true,
    createPartitioner:
      () =>
      ({ message, partitionMetadata }) => {
        asked.push(partitionMetadata.length);
        return (message.partition ??= 3);
      },
  });
  await producer.connect();
  t.after(() => producer.disconnect());
  const [written] = await producer.send({ topic, acks: -1, messages: [{ value: "a" }] });
  assert.deepEqual(asked, [4]);
  assert.equal(written?.partition, 3);
  assert.equal(written?.errorCode, 0);
});

test("producer: a partition that isn't there is taken for written: only its absence in the answer tells", async (t) => {
  const topic = await kafka.topic(1);
  const producer = open(t).producer({ createPartitioner: () => () => 7 });
  await producer.connect();
  t.after(() => producer.disconnect());
  assert.deepEqual(await producer.send({ topic, messages: [{ value: "lost" }] }), []);
});

test("kafkajs-mends: no client makes Node warn of a timer in the past, and without the mend each would", async () => {
  const script = (mend: string) => `
    import kafkajs from "kafkajs";
    ${mend}
    const admin = new kafkajs.Kafka({ brokers: ["${kafka.bootstrap}"], logLevel: 0 }).admin();
    await admin.connect(); await admin.listTopics(); await admin.disconnect();`;
  const warnings = async (mend: string) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script(mend)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    child.stderr.on("data", (chunk) => (said += chunk));
    await once(child, "close");
    return said;
  };
  const mend = 'const { mendKafkajs } = await import("./src/brokers/kafka/kafkajs-mends.ts"); mendKafkajs();';
  assert.equal(await warnings(mend), "");
  assert.match(await warnings(""), /TimeoutNegativeWarning/);
});

test("unpack: the codecs we give it are used, under the numbers of the protocol", () => {
  const { CompressionTypes } = kafkajs;
  assert.deepEqual(
    [
      CompressionTypes.None,
      CompressionTypes.GZIP,
      CompressionTypes.Snappy,
      CompressionTypes.LZ4,
      CompressionTypes.ZSTD,
    ],
    [0, 1, 2, 3, 4],
  );
});
