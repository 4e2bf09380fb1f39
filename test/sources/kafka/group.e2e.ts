/** What the brokers, and other members of the group, do to a source. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { cluster, KafkaHost, lz4, reading } from "../../brokers/kafka/kit.ts";
import { waitFor } from "../../wait-for.ts";

const kafka = cluster();

test("a second Leat joining and leaving takes nothing away and repeats nothing that both wouldn't know", async (t) => {
  const topic = await kafka.topic(6);
  const config = {
    brokers: kafka.bootstrap,
    topics: [topic],
    group: `g-${randomUUID()}`,
    session_timeout: "6s",
  };
  let [sent, stopped] = [0, false];
  const load = (async () => {
    while (!stopped) {
      const messages = Array.from({ length: 30 }, (_, n) => ({ partition: n % 6, value: String(sent + n) }));
      await kafka.produce(topic, messages);
      sent += messages.length;
    }
  })();
  const [first, second] = [new KafkaHost(), new KafkaHost()];
  const hosts = [first, second];
  // As a journal: each Leat knows what it has, and what the other has comes with the same id.
  await reading(t, first, config);
  await first.events(200);
  for (let round = 0; round < 3; round++) {
    const before = second.appended.length;
    const other = await reading(t, second, config);
    await second.events(before + 100, 40_000);
    await other.stop();
    const left = first.appended.length;
    await first.events(left + 300, 40_000);
  }
  stopped = true;
  await load;
  const bodies = () => new Set(hosts.flatMap((host) => host.bodies()));
  await waitFor("all that was sent", () => bodies().size === sent, 30_000);
  const ids = new Map<string, string>();
  for (const host of hosts) {
    for (const { id, body } of host.appended) {
      const text = Buffer.from(body).toString();
      assert.equal(ids.get(text) ?? id, id, "the same record has the same id in both");
      ids.set(text, id ?? "");
    }
    for (let partition = 0; partition < 6; partition++) {
      const seen = host
        .bodies()
        .map(Number)
        .filter((n) => n % 6 === partition);
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
        "each partition in order",
      );
    }
  }
  const repeats = first.appended.length + second.appended.length - sent;
  assert.ok(repeats < sent * 0.05, `${repeats} of ${sent} came twice`);
});

test("a partition that stands still goes to another member, is its trouble there, and ours again when it comes back", async (t) => {
  const topic = await kafka.topic(2);
  const config = { brokers: kafka.bootstrap, topics: [topic], group: `g-${randomUUID()}` };
  for (const partition of [0, 1]) await lz4(kafka.bootstrap, topic, partition);
  const [first, second] = [new KafkaHost(), new KafkaHost()];
  const troubles = ({ standing }: KafkaHost) =>
    standing?.state === "waiting" && standing.error === "lz4"
      ? standing.message.split("stands still").length - 1
      : 0;
  await reading(t, first, config);
  await waitFor("both to stand still", () => troubles(first) === 2, 20_000);
  const other = await reading(t, second, config);
  await waitFor("each to have one", () => troubles(first) === 1 && troubles(second) === 1, 30_000);
  await other.stop();
  await waitFor("both to be ours again", () => troubles(first) === 2, 30_000);
});

test("a topic that is deleted and made anew is read from its beginning, also what has the old places", async (t) => {
  const topic = await kafka.topic(1);
  const host = new KafkaHost();
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], discover: "1s" });
  await kafka.produce(
    topic,
    Array.from({ length: 50 }, (_, n) => ({ value: `old ${n}` })),
  );
  await host.events(50);
  await kafka.admin.deleteTopics({ topics: [topic] });
  await waitFor("it to be missed", () => host.standing?.state === "waiting", 30_000);
  assert.equal(host.standing?.state === "waiting" && host.standing.error, "unknown_topic");
  await kafka.admin.createTopics({ topics: [{ topic }] });
  await kafka.produce(
    topic,
    Array.from({ length: 60 }, (_, n) => ({ value: `new ${n}` })),
  );
  await host.events(110, 70_000);
  assert.equal(host.bodies().filter((body) => body.startsWith("new")).length, 60);
  assert.equal(new Set(host.appended.map(({ id }) => id)).size, 110);
});

test("records that Kafka has removed before they were read are told as a loss, and it goes on with the oldest", async (t) => {
  const topic = await kafka.topic(1);
  const config = { brokers: kafka.bootstrap, topics: [topic], group: `g-${randomUUID()}` };
  await kafka.produce(
    topic,
    Array.from({ length: 10 }, (_, n) => ({ value: String(n) })),
  );
  const host = new KafkaHost();
  const source = await reading(t, host, config);
  await host.events(10);
  await source.stop();
  await kafka.produce(
    topic,
    Array.from({ length: 10 }, (_, n) => ({ value: String(10 + n) })),
  );
  // kafkajs knows the leader only of topics that it was asked for.
  await kafka.admin.fetchTopicOffsets(topic);
  await kafka.admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: "15" }] });
  await reading(t, host, config);
  await host.events(15);
  assert.deepEqual(host.bodies().slice(10), ["15", "16", "17", "18", "19"]);
  await waitFor("the event", () => host.refusals.length > 0);
  assert.equal(host.refusals[0]?.reason, "upstream_loss");
  assert.match(host.refusals[0]?.detail ?? "", new RegExp(`^${topic}/0: `));
});

test("keeps its place in the group while the journal takes nothing for longer than the session lasts", async (t) => {
  const topic = await kafka.topic(2);
  const group = `g-${randomUUID()}`;
  const host = new KafkaHost();
  host.holding = true;
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic], group, session_timeout: "6s" });
  await kafka.produce(topic, [{ partition: 0, value: "held" }]);
  await waitFor("it to be in hand", () => host.waiting === 1);
  const until = performance.now() + 8_000;
  await waitFor("more than a session", () => performance.now() > until, 20_000);
  const { groups } = await kafka.admin.describeGroups([group]);
  assert.equal(groups[0]?.state, "Stable");
  assert.equal(groups[0]?.members.length, 1);
  assert.equal(host.waiting, 1, "it wasn't fetched a second time");
  host.holding = false;
  host.commit();
  await waitFor("the place", async () => (await kafka.committed(group, topic))[0] === 1);
  assert.deepEqual(
    host.standings.map(({ state }) => state).filter((state) => state === "waiting"),
    [],
  );
});

test("an error of ours in the midst of a batch ends that connection only: the next one reads it again", async (t) => {
  const topic = await kafka.topic(1);
  await kafka.produce(topic, [{ value: "a" }, { value: "b" }]);
  const host = new KafkaHost();
  const append = host.append.bind(host);
  let failures = 0;
  // kafkajs gives a consumer up for good after a TypeError.
  host.append = async (arrival) => {
    if (failures++ < 2) throw new TypeError("a defect");
    return append(arrival);
  };
  await reading(t, host, { brokers: kafka.bootstrap, topics: [topic] });
  await host.events(2, 40_000);
  assert.deepEqual(host.bodies(), ["a", "b"]);
  assert.ok(host.standings.some((standing) => standing.state === "waiting"));
});
