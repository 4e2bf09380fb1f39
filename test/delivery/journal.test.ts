/** Delivery on the real journal and to real receivers: the whole of the way behind the append. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { PushedSink, StreamFrame, StreamSink } from "../../src/component.ts";
import { Delivery } from "../../src/delivery/delivery.ts";
import { noObserver, type PushedTarget, type StreamTarget } from "../../src/delivery/target.ts";
import type { Seq } from "../../src/event.ts";
import type { Counts, Journal, SubscriptionDefinition } from "../../src/journal/journal.ts";
import { openSqliteJournal } from "../../src/journal/sqlite/open.ts";
import { systemChance, systemClock } from "../../src/ports.ts";
import { webhookSink } from "../../src/sinks/webhook/sink.ts";
import { waitFor } from "../wait-for.ts";
import { newEvent, POLICY, SOON, silent, target } from "./kit.ts";

const DAY = 86_400_000;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "leat-delivery-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function open(path: string): Promise<Journal> {
  return openSqliteJournal({
    path,
    tuning: {
      retention: { ageMs: 7 * DAY, bytes: 1e9, dead: { ageMs: 30 * DAY, bytes: 1e9 } },
      limits: { uncommittedBytes: 64 * 2 ** 20, commitWaitMs: 10_000, dedupeIds: 1e6 },
    },
    watermark: { share: 0, bytes: 0 },
    clock: systemClock,
    chance: systemChance,
    log: silent,
  });
}

async function receiver(
  t: TestContext,
  answer: (body: string, request: IncomingMessage) => [number, string?],
) {
  const received: { body: string; headers: IncomingMessage["headers"] }[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      received.push({ body, headers: request.headers });
      const [status, text = ""] = answer(body, request);
      response.writeHead(status, { "content-type": "application/json" }).end(text);
    });
  };
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, received };
}

function webhook(t: TestContext, name: string, config: object): PushedSink {
  const sink = webhookSink.create(webhookSink.schema.parse(config), {
    name,
    clock: systemClock,
    log: silent,
    stands: () => {},
    answerBytes: { failure: 1024, success: 256 },
  });
  t.after(() => sink.stop());
  return sink;
}

function definition(
  name: string,
  over: Partial<SubscriptionDefinition> & { sources?: readonly string[] } = {},
) {
  const { sources = ["in"], ...rest } = over;
  const [route = "", sink = name] = name.split("/");
  return {
    name,
    sink,
    kind: "pushed" as const,
    routes: [{ route, sources, start: "now" as const }],
    order: "key" as const,
    onDead: "skip" as const,
    concurrency: 16,
    backlog: { ageMs: 4 * DAY, bytes: 1e9 },
    was: null,
    ...rest,
  };
}

function deliveryOn(journal: Journal): Delivery {
  return new Delivery({
    ledger: journal.ledger,
    streams: journal.streams,
    clock: systemClock,
    chance: systemChance,
    log: silent,
    observer: noObserver,
  });
}

async function running(
  t: TestContext,
  path: string,
  definitions: readonly SubscriptionDefinition[],
  pushed: readonly PushedTarget[],
  streams: readonly StreamTarget[] = [],
) {
  const journal = await open(path);
  await journal.ledger.reconcile(definitions);
  const works = deliveryOn(journal);
  await works.apply(pushed, streams);
  let stopped = false;
  const stop = async () => {
    if (stopped) return;
    stopped = true;
    await works.stop(1000);
    await journal.close();
  };
  t.after(stop);
  return { journal, works, stop };
}

/** J3, and how many in each state. */
function counts(journal: Journal, subscription: string): Counts {
  const all = journal.ledger.subscription(subscription)?.counts()[0]?.counts;
  assert.ok(all);
  const { accepted, filtered, pending, inFlight, retrying, delivered, dead, expired, purged } = all;
  assert.equal(accepted, filtered + pending + inFlight + retrying + delivered + dead + expired + purged);
  return all;
}

test("J3: a thousand events, some of them poison, to a receiver that stumbles: all delivered or dead with a reason", async (t) => {
  const failedOnce = new Set<string>();
  const { url, received } = await receiver(t, (body) => {
    if (body === "poison") return [422];
    if (Number(body) % 10 !== 3 || failedOnce.has(body)) return [200];
    failedOnce.add(body);
    return [503];
  });
  const policy = { ...POLICY, retry: { ...SOON, deadOn: { keyed: [422], unkeyed: [422] } } };
  const { journal } = await running(
    t,
    folder(t),
    [definition("r/s")],
    [target("r/s", webhook(t, "s", { url }), { policy })],
  );
  await Promise.all(
    Array.from({ length: 1000 }, (_, n) => {
      const body = Buffer.from(n % 100 === 50 ? "poison" : String(n));
      return journal.log.append(newEvent({ id: `e${n}`, body }), DAY);
    }),
  );
  await waitFor("all", () => counts(journal, "r/s").delivered + counts(journal, "r/s").dead === 1000, 30_000);
  assert.equal(counts(journal, "r/s").dead, 10);
  assert.equal(new Set(received.map(({ body }) => body)).size, 991);
  const dead = await journal.ledger.dead({ subscription: "r/s", limit: 100 });
  assert.equal(dead.length, 10);
  assert.deepEqual([dead[0]?.error, Buffer.from(dead[0]!.event.body).toString()], ["dead_on", "poison"]);
  const raised = await journal.history.events({ source: "leat", limit: 100 });
  assert.equal(raised.filter(({ type }) => type === "leat.dead").length, 10);
});

test("J7: a retry that waits outlives the daemon, and keeps its count and its id", async (t) => {
  let status = 503;
  const { url, received } = await receiver(t, () => [status]);
  const path = folder(t);
  const start = () =>
    running(
      t,
      path,
      [definition("r/s")],
      [
        target("r/s", webhook(t, "s", { url }), {
          policy: { ...POLICY, retry: { ...SOON, initialMs: 400 } },
        }),
      ],
    );
  const first = await start();
  await first.journal.log.append(newEvent(), DAY);
  await waitFor("the failure", () => counts(first.journal, "r/s").retrying === 1);
  const begun = performance.now();
  await first.stop();
  assert.ok(performance.now() - begun < 3000, "a waiting retry doesn't delay the stop");

  status = 200;
  const second = await start();
  await waitFor("the delivery", () => counts(second.journal, "r/s").delivered === 1);
  assert.deepEqual(
    received.map(({ headers }) => headers["leat-attempt"]),
    ["1", "2"],
  );
  assert.equal(received[0]?.headers["webhook-id"], received[1]?.headers["webhook-id"]);
});

test("J7: an open breaker comes back open", async (t) => {
  const path = folder(t);
  const { url, received } = await receiver(t, () => [500]);
  const policy = { ...POLICY, breaker: { failures: 3, probeMs: 60_000, maxMs: 60_000 } };
  const start = () =>
    running(t, path, [definition("r/s")], [target("r/s", webhook(t, "s", { url }), { policy })]);
  const first = await start();
  for (let n = 0; n < 3; n++) await first.journal.log.append(newEvent({ id: `e${n}` }), DAY);
  await waitFor("it to open", () => first.works.status()[0]?.breaker === "open");
  await waitFor("the end of what was under way", () => first.works.status()[0]?.inFlight === 0);
  const before = received.length;
  await first.stop();
  const second = await start();
  assert.equal(second.works.status()[0]?.breaker, "open");
  await second.journal.log.append(newEvent({ id: "later" }), DAY);
  assert.equal(received.length, before);
  second.works.resume("s");
  await waitFor("the probe that a person asked for", () => received.length === before + 1);
});

test("a reply is an event after its delivery: routes from the sink get it with its cause", async (t) => {
  const billing = await receiver(t, () => [201, '{"invoice":7}']);
  const after = await receiver(t, () => [200]);
  const { journal } = await running(
    t,
    folder(t),
    [definition("pay/billing"), definition("toast/after", { sources: ["billing"] })],
    [
      target("pay/billing", webhook(t, "billing", { url: billing.url, reply: true })),
      target("toast/after", webhook(t, "after", { url: after.url }), {
        prepare: (event, cause) => ({
          result: "message",
          body: Buffer.from(
            `${Buffer.from(cause?.body ?? "").toString()} → ${Buffer.from(event.body).toString()}`,
          ),
          contentType: "text/plain",
          fields: {},
        }),
      }),
    ],
  );
  const { seq } = await journal.log.append(newEvent({ body: Buffer.from("order"), key: "k" }), DAY);
  await waitFor("the toast", () => after.received.length === 1);
  assert.equal(after.received[0]?.body, 'order → {"invoice":7}');
  assert.equal(after.received[0]?.headers["leat-hops"], "2");
  const [reply] = await journal.history.events({ source: "billing", limit: 10 });
  assert.deepEqual(
    [reply?.id, reply?.cause, reply?.type, reply?.key],
    [`${seq}/pay/billing`, seq, "reply", "k"],
  );
});

test("a dead letter is replayed with the same id, marked as a replay", async (t) => {
  let status = 422;
  const { url, received } = await receiver(t, () => [status]);
  const { journal } = await running(
    t,
    folder(t),
    [definition("r/s")],
    [target("r/s", webhook(t, "s", { url }))],
  );
  const { seq } = await journal.log.append(newEvent({ key: "k" }), DAY);
  await waitFor("the death", () => counts(journal, "r/s").dead === 1);
  status = 200;
  assert.deepEqual(await journal.ledger.replay(seq, "r/s"), { replay: 1 });
  await waitFor("the replay", () => received.length === 2);
  assert.equal(received[1]?.headers["webhook-id"], received[0]?.headers["webhook-id"]);
  assert.equal(received[1]?.headers["leat-replay"], "1");
});

test("J5: a stream gets every event in seq order, readers before the index, and the index everything", async (t) => {
  const published: Seq[] = [];
  const sink: StreamSink = {
    endpoint: () => ({ path: "/events", subtree: false, handle() {} }),
    start: async () => {},
    publish: (seq: Seq, _frames: readonly StreamFrame[]) => published.push(seq),
    stop: async () => {},
  };
  const route = (
    channel: string,
  ): StreamTarget["routes"] extends ReadonlyMap<string, infer P> ? P : never => {
    return (event) => {
      const message = {
        result: "message" as const,
        body: event.body,
        contentType: null,
        fields: { channel },
      };
      if (Number(event.id) % 7 !== 0) return message;
      return new Promise((resolve) => setImmediate(resolve, message));
    };
  };
  const routes = new Map([
    ["a", route("a")],
    ["b", route("b")],
  ]);
  const feeds = ["a", "b"].map((name) => ({ route: name, sources: ["in"], start: "now" as const }));
  const { journal } = await running(
    t,
    folder(t),
    [definition("live", { kind: "stream", order: "seq", concurrency: 64, routes: feeds })],
    [],
    [{ stream: "live", sink, routes, channelBytes: 256 }],
  );
  const appended = await Promise.all(
    Array.from({ length: 500 }, (_, n) => journal.log.append(newEvent({ id: String(n) }), null)),
  );
  const seqs = appended.map(({ seq }) => seq).sort((a, b) => a - b);
  await waitFor("all settled", () => counts(journal, "live").delivered === 500, 30_000);
  assert.deepEqual(published, seqs);
  const { frames } = await journal.streams.read("live", 0, { exact: ["a"], patterns: [] }, 1000);
  assert.deepEqual(
    frames.map(({ seq }) => seq),
    seqs,
  );
});
