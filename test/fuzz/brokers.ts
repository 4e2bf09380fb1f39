/** What brokers send, and how they are addressed: Kafka's batches, RabbitMQ's tables, MQTT's topics, URLs, keys, headers. */
import assert from "node:assert/strict";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { CODECS, readBatches } from "../../src/brokers/kafka/record-batch.ts";
import { type KafkaRecord, readRecords } from "../../src/brokers/kafka/records.ts";
import { UnreadableBatch } from "../../src/brokers/kafka/unpack.ts";
import { brokerAddress, mqttConnection } from "../../src/brokers/mqtt/connection.ts";
import { filterMatches, filterProblem, topicProblem } from "../../src/brokers/mqtt/topics.ts";
import { readFieldTable } from "../../src/brokers/rabbitmq/field-table.ts";
import { topicMatches } from "../../src/brokers/rabbitmq/place.ts";
import { addressProblem, parseAddress } from "../../src/brokers/rabbitmq/url.ts";
import { unpackHeaders } from "../../src/event.ts";
import { hopsOf, packBrokerHeaders } from "../../src/sources/attributes.ts";
import { arrivalOf, textOfKey } from "../../src/sources/kafka/arrival.ts";
import { headerValue } from "../../src/sources/rabbitmq/arrival.ts";
import { packet, publish, type Read, readAll } from "../brokers/mqtt/packets.ts";
import { kafkaBatch, type WrittenRecord } from "./kafka-batches.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const written: fc.Arbitrary<WrittenRecord> = fc.record({
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.tuple(anyText, bytes), { maxLength: 4 }),
});
const records = fc.array(written, { minLength: 1, maxLength: 8 });
const PACK = {
  none: (block: Buffer) => block,
  gzip: gzipSync,
  zstd: zstdCompressSync,
  // One literal after another is what a block of snappy may be, too.
  snappy: (block: Buffer) => snappyOf(block),
} as const;
const codec = fc.constantFrom(...(Object.keys(PACK) as (keyof typeof PACK)[]));
/** Some bytes set to others, and an end cut off. */
const damage = fc.record({
  set: fc.array(fc.tuple(fc.nat(5_000), fc.nat(255)), { maxLength: 6 }),
  cut: fc.option(fc.nat(5_000)),
});
const MOST_BYTES = 100_000;

const mqttPublish = fc.record({
  topic: fc.oneof(fc.string({ unit: "grapheme" }), fc.constant("sensors/7")),
  payload: fc.uint8Array({ maxLength: 300 }),
  qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
  dup: fc.boolean(),
  retain: fc.boolean(),
  messageId: fc.integer({ min: 1, max: 65_535 }),
});
const mqttPackets = fc.array(
  fc.oneof(
    mqttPublish.map((each) => publish(each)),
    fc.tuple(mqttPublish, fc.uint8Array({ maxLength: 127 })).map((both) => publish(...both)),
    fc
      .tuple(
        fc.integer({ min: 0, max: 255 }).filter((first) => first >> 4 !== 3),
        fc.uint8Array({ maxLength: 300 }),
      )
      .map((both) => packet(...both)),
  ),
  { maxLength: 20 },
);

function damaged(good: Buffer, { set, cut }: { set: [number, number][]; cut: number | null }): Buffer {
  const bad = Buffer.from(good.subarray(0, cut === null ? good.length : cut % (good.length + 1)));
  for (const [at, byte] of set) if (bad.length > 0) bad[at % bad.length] = byte;
  return bad;
}

/** A block of snappy: its length, then literals of at most 60 bytes. */
function snappyOf(block: Buffer): Buffer {
  const parts: Buffer[] = [];
  let length = block.length;
  for (; length >= 0x80; length = Math.floor(length / 128)) parts.push(Buffer.from([(length & 0x7f) | 0x80]));
  parts.push(Buffer.from([length]));
  for (let at = 0; at < block.length; at += 60) {
    const literal = block.subarray(at, at + 60);
    parts.push(Buffer.from([(literal.length - 1) << 2]), literal);
  }
  return Buffer.concat(parts);
}

/** All records; null: the batch is unreadable, as the code means it. */
async function recordsOf(set: Buffer): Promise<KafkaRecord[] | null> {
  const all: KafkaRecord[] = [];
  try {
    for (const batch of readBatches(set, []).batches) {
      for await (const chunk of readRecords(batch, 0, MOST_BYTES)) all.push(...chunk);
    }
  } catch (error) {
    if (error instanceof UnreadableBatch) return null;
    // Before any batch: the response itself is broken, and the connection with it.
    if (error instanceof RangeError && /^a record batch of/.test(error.message)) return null;
    throw error;
  }
  return all;
}

/** A field table's bytes out of the tags that there are, mostly with what they announce. */
const tableBytes = fc.oneof(
  bytes,
  fc
    .array(
      fc.tuple(
        fc.constantFrom(..."tbBsuIilLfdDSxTVAFq"),
        fc.uint8Array({ maxLength: 40 }),
        fc.oneof(fc.nat(40), fc.constantFrom(0xffffffff, 0x7fffffff)),
      ),
      { maxLength: 10 },
    )
    .map((fields) =>
      Buffer.concat(
        fields.map(([tag, value, length]) => {
          const head = Buffer.from(`\u0001n${tag}`, "latin1");
          if (!"SxAF".includes(tag)) return Buffer.concat([head, value]);
          const size = Buffer.alloc(4);
          size.writeUInt32BE(length);
          return Buffer.concat([head, size, value]);
        }),
      ),
    ),
  // Tables within tables, deeper than anybody reads.
  fc.nat(2_000).map((depth) => {
    let inner = Buffer.alloc(0);
    for (let n = 0; n < Math.min(depth, 300); n++) {
      const head = Buffer.from([1, 0x6e, 0x46, 0, 0, 0, 0]);
      head.writeUInt32BE(inner.length, 3);
      inner = Buffer.concat([head, inner]);
    }
    return inner;
  }),
);

const level = soup(["a", "b", "+", "#", "/", "$", "$share/", "$SYS", "", "//"], 12);
const words = fc.oneof(
  soup(["a", "b", "*", "#", "."], 24),
  // As long as an AMQP short string may be.
  fc
    .tuple(fc.constantFrom("#.", "*.", "a.", "#.a."), fc.nat(60), anyText)
    .map(([piece, many, end]) => piece.repeat(many) + end),
);
const address = fc.oneof(
  soup([
    "amqp://",
    "amqps://",
    "mqtt://",
    "mqtts://",
    "ws://",
    "u",
    ":",
    "p%40",
    "@",
    "h",
    "[::1]",
    "/",
    "%2F",
    "?",
  ]),
  longText,
);

export const brokers = [
  property(
    "Kafka: what was written is read, in any codec",
    fc.tuple(records, codec),
    async ([list, packing]) => {
      const read = await recordsOf(kafkaBatch(list, CODECS.indexOf(packing), PACK[packing]));
      assert.ok(read !== null);
      assert.deepEqual(
        read.map(({ offset }) => offset),
        list.map((_, at) => at),
      );
      for (const [at, { key, value, headers }] of read.entries()) {
        assert.deepEqual([key, value], [list[at]?.key, list[at]?.value]);
        assert.equal(headers.length, list[at]?.headers.length);
      }
    },
  ),

  property(
    "Kafka: a damaged response is read, or said to be damaged, within its bounds",
    fc.tuple(records, fc.constantFrom(...CODECS, null), codec, damage),
    async ([list, said, packing, harm]) => {
      const code = said === null ? 7 : CODECS.indexOf(said);
      const set = damaged(kafkaBatch(list, code, PACK[packing]), harm);
      for (const record of (await recordsOf(set)) ?? []) arrivalOf("topic", 0, record);
    },
  ),

  property("Kafka: bytes that are no batch do no harm", bytes, async (set) => {
    await recordsOf(set);
  }),

  property("Kafka: different keys are different texts", fc.tuple(bytes, bytes), ([one, other], within) => {
    const [first, second] = [within(() => textOfKey(one)), within(() => textOfKey(other))];
    assert.equal(first === second, one.equals(other));
    assert.doesNotMatch(first, /\p{Cc}/u);
  }),

  property(
    "headers of a broker are packed, and hops are a small number, whatever they hold",
    fc.array(
      fc.tuple(fc.oneof(longText, fc.constantFrom("leat-hops", "LEAT-Hops")), fc.oneof(longText, bytes)),
      {
        maxLength: 8,
      },
    ),
    (headers, within) => {
      const packed = within(() => packBrokerHeaders(headers));
      const unpacked = within(() => unpackHeaders(packed));
      assert.equal(unpacked.length, headers.length);
      for (const [name] of unpacked) assert.match(name, /^[\x20-\x7e]*$/);
      const hops = within(() => hopsOf(headers));
      assert.ok(Number.isSafeInteger(hops) && hops >= 0 && hops < 10_000);
    },
  ),

  property(
    "RabbitMQ: a table is read as far as it goes, and each value is a header's",
    tableBytes,
    (raw, within) => {
      const { fields, rest } = within(() => readFieldTable(raw));
      assert.ok(rest.length <= raw.length);
      const values = fields.map(([name, value]) => [name, within(() => headerValue(value))] as const);
      within(() => packBrokerHeaders(values));
    },
  ),

  property("RabbitMQ: any value makes a header", fc.anything(), (value, within) => {
    within(() => headerValue(value));
  }),

  property(
    "RabbitMQ: a routing key fits a pattern, or doesn't, in no time",
    fc.tuple(words, words),
    ([pattern, key], within) => {
      const fits = within(() => topicMatches(pattern, key));
      if (pattern === "#") assert.ok(fits);
      if (!/[*#]/.test(pattern)) assert.equal(fits, pattern === key);
    },
  ),

  property(
    "an address of RabbitMQ or MQTT is one, or is said to be none without repeating it",
    address,
    (text, within) => {
      const problem = within(() => addressProblem(text));
      if (problem === null) {
        const { hostname, port } = within(() => parseAddress(text));
        assert.ok(hostname !== "" && port >= 0 && port <= 65_535);
      } else if (text.length > 20) assert.ok(!`${problem.message} ${problem.remedy}`.includes(text));
      const parsed = within(() => mqttConnection.schema.safeParse({ url: text }));
      if (parsed.success) within(() => brokerAddress(text));
    },
  ),

  property(
    "MQTT: a filter and a topic are fine or have a reason, and match in no time",
    fc.tuple(fc.oneof(level, longText), fc.oneof(level, longText)),
    ([filter, topic], within) => {
      const problems = [within(() => filterProblem(filter)), within(() => topicProblem(topic))];
      for (const problem of problems) assert.notEqual(problem, "");
      const matches = within(() => filterMatches(filter, topic));
      if (problems[0] !== null || problems[1] !== null) return;
      if (filter === "#") assert.equal(matches, !topic.startsWith("$"));
      if (!/[+#]/.test(filter) && !filter.startsWith("$share/")) assert.equal(matches, filter === topic);
    },
  ),

  property(
    "MQTT: packets in any pieces are read here or given to the library, each in its place",
    fc.tuple(mqttPackets, fc.infiniteStream(fc.integer({ min: 1, max: 300 })), fc.boolean()),
    async ([packets, sizes, late]) => {
      const bytes = Buffer.concat(packets);
      const { ours, theirs, atOnce } = await readAll(pieces(bytes, sizes), 5, () => late);
      assert.ok(atOnce <= 1);
      assert.deepEqual(merged(ours, theirs), bytes);
    },
  ),

  property(
    "MQTT: whatever bytes come in whatever pieces, they are read to the end, one thing at a time",
    fc.tuple(mqttPackets, damage, fc.infiniteStream(fc.integer({ min: 1, max: 300 }))),
    async ([packets, changes, sizes]) => {
      const bad = damaged(Buffer.concat(packets), changes);
      const { ours, theirs, atOnce } = await readAll(pieces(bad, sizes), "3.1.1");
      assert.ok(atOnce <= 1);
      const payloads = ours.reduce((sum, { packet }) => sum + packet.payload.length, 0);
      assert.ok(payloads + theirs.length <= bad.length);
    },
  ),
];

function pieces(bytes: Buffer, sizes: Iterator<number>): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + (sizes.next().value as number);
    all.push(bytes.subarray(at, end));
    at = end;
  }
  return all;
}

/** What was read, as the bytes that it came as. */
function merged(ours: Read["ours"], theirs: Buffer): Buffer {
  const parts: Buffer[] = [];
  let given = 0;
  for (const { packet, after } of ours) {
    parts.push(theirs.subarray(given, after), publish(packet));
    given = after;
  }
  return Buffer.concat([...parts, theirs.subarray(given)]);
}
