/** The five examples of docs/examples.md as they stand in config/, with real brokers and clients from outside. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, resolve } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import amqp from "amqplib";
import { Kafka, logLevel } from "kafkajs";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { type KafkaBroker, startKafka } from "../brokers/kafka.ts";
import { type Mosquitto, startMosquitto } from "../brokers/mosquitto.ts";
import { required } from "../brokers/programs.ts";
import { type Rabbitmq, startRabbitmq } from "../brokers/rabbitmq.ts";
import { launchChromium } from "../chromium.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { type Daemon, makeDaemon, makeReceiver } from "./daemon.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const SECRET = `whsec_${Buffer.alloc(24, "k").toString("base64")}`;

let kafka: KafkaBroker;
let mosquitto: Mosquitto;
let rabbitmq: Rabbitmq;
before(async () => {
  [kafka, mosquitto, rabbitmq] = await Promise.all([startKafka(), startMosquitto(), startRabbitmq()]);
  const admin = new Kafka({ brokers: [kafka.bootstrap], logLevel: logLevel.NOTHING }).admin();
  const topics = ["orders", "payments"].map((topic) => ({ topic, numPartitions: 4 }));
  await admin.createTopics({ topics });
  await admin.disconnect();
});
after(() => Promise.all([kafka, mosquitto, rabbitmq].map((broker) => broker?.close())));

/** Runs a program to its end with this on its standard input; resolves with what it printed. */
async function outside(program: string, args: readonly string[], input = ""): Promise<string> {
  const child = spawn(required(program), args, { stdio: ["pipe", "pipe", "inherit"] });
  let printed = "";
  child.stdout.on("data", (chunk) => (printed += chunk));
  // One that reads nothing may be gone before.
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number];
  assert.equal(code, 0, `${program} ${args.join(" ")}`);
  return printed;
}

/** `config/<name>` as it stands, with all brokers connected. */
async function running(t: TestContext, name: string, env: Record<string, string> = {}): Promise<Daemon> {
  const daemon = await makeDaemon(readFileSync(join(ROOT, "config", name), "utf8"), {
    KAFKA_BROKERS: kafka.bootstrap,
    MQTT_URL: mosquitto.url,
    RABBITMQ_URL: rabbitmq.url,
    ...env,
  });
  t.after(daemon.close);
  await daemon.start();
  await waitFor(
    "source and sink to have their broker",
    async () => {
      const { samples } = await scrapeMetrics(daemon.admin);
      return samples.filter(({ name }) => name.endsWith("_connected")).every(({ value }) => value === 1);
    },
    30_000,
  );
  return daemon;
}

/** The pages of examples/, as any static server serves them. */
async function pages(t: TestContext): Promise<string> {
  const types: Record<string, string> = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
  };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    response.setHeader("content-type", types[extname(path)] ?? "text/plain");
    response.end(readFileSync(join(ROOT, "examples", path)));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function opened(t: TestContext, url: string) {
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 900, height: 480 } });
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.waitForSelector("#state[data-state=live]");
  return { page, complaints };
}

async function shot(page: { screenshot(options: { path: string }): Promise<unknown> }, name: string) {
  const folder = process.env.LEAT_SCREENSHOTS;
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
}

test("mqtt-to-sse.yaml: what mosquitto_pub publishes is on the dashboard, also what came while Leat was away", async (t) => {
  const origin = await pages(t);
  const daemon = await running(t, "mqtt-to-sse.yaml", { PAGE_ORIGIN: origin });
  const publish = (sensor: string, body: string) =>
    outside("mosquitto_pub", [
      ...["-p", `${mosquitto.port}`, "-q", "1", "-t", `sensors/${sensor}/temperature`],
      ...["-m", body],
    ]);
  const { page, complaints } = await opened(t, `${origin}/sensors.html?leat=${daemon.url}`);
  const shown = () =>
    page.$$eval("article", (cards) =>
      cards.map((card) => [card.querySelector("h2")?.textContent, card.querySelector("b")?.textContent]),
    );
  for (const celsius of [18, 19.25, 21.5, 20]) await publish("kitchen", JSON.stringify({ celsius }));
  for (const celsius of [61, 64.5, 70, 58.25]) await publish("boiler", JSON.stringify({ celsius }));
  await publish("cellar", "offline");
  const both = [
    ["boiler", "58.3"],
    ["kitchen", "20.0"],
  ];
  await waitFor(
    "both sensors' last readings",
    async () => JSON.stringify(await shown()) === JSON.stringify(both),
  );
  await shot(page, "sensors");

  daemon.signal("SIGKILL");
  await daemon.ended();
  await publish("attic", JSON.stringify({ celsius: 31 }));
  await daemon.start();
  await waitFor("what came meanwhile", async () => (await shown())[0]?.join() === "attic,31.0", 30_000);
  assert.deepEqual(complaints, []);
});

test("kafka-to-webhook.yaml: each customer's orders arrive signed and in their order, although the partner fails at times", async (t) => {
  const receiver = await makeReceiver();
  t.after(receiver.close);
  const answered: { customer: string; n: number }[] = [];
  let requests = 0;
  receiver.answer = ({ body }) => {
    if (requests++ % 7 === 0) return 503;
    answered.push(JSON.parse(body) as { customer: string; n: number });
    return 200;
  };
  await running(t, "kafka-to-webhook.yaml", {
    PARTNER_URL: `${receiver.url}/orders`,
    PARTNER_SECRET: SECRET,
  });
  const customers = ["ada", "bob", "cyd"];
  const orders = Array.from({ length: 5 }, (_, n) => customers.map((customer) => ({ customer, n }))).flat();
  const lines = orders.map((order) => `${order.customer}|${JSON.stringify(order)}\n`).join("");
  await outside("kcat", ["-P", "-b", kafka.bootstrap, "-t", "orders", "-K|"], lines);
  await waitFor("all orders", () => answered.length >= orders.length, 60_000);
  for (const customer of customers) {
    const numbers = answered.filter((order) => order.customer === customer).map(({ n }) => n);
    assert.deepEqual(numbers, [0, 1, 2, 3, 4], customer);
  }
  const [first] = receiver.received;
  assert.ok(first !== undefined);
  new Webhook(SECRET).verify(first.body, first.headers as Record<string, string>);
});

test("rabbitmq-to-sse.yaml: what a worker publishes moves the bars of the progress page", async (t) => {
  const origin = await pages(t);
  const daemon = await running(t, "rabbitmq-to-sse.yaml", { PAGE_ORIGIN: origin });
  const { page, complaints } = await opened(t, `${origin}/jobs.html?leat=${daemon.url}`);
  const connection = await amqp.connect(rabbitmq.url);
  t.after(() => connection.close());
  const channel = await connection.createConfirmChannel();
  const report = async (job: string, done: number, of: number) => {
    const body = Buffer.from(JSON.stringify({ job, done, of }));
    channel.sendToQueue("jobs", body, { contentType: "application/json", persistent: true });
    await channel.waitForConfirms();
  };
  for (let done = 1; done <= 10; done++) await report("render-7", done, 10);
  await report("export-3", 2, 8);
  await report("import-1", 5, 6);
  const shown = () => page.$$eval("article", (rows) => rows.map((row) => row.textContent?.match(/\S.*\S/g)));
  const expected = [
    ["import-1", "5 of 6"],
    ["export-3", "2 of 8"],
    ["render-7", "done"],
  ];
  await waitFor("the three jobs", async () => JSON.stringify(await shown()) === JSON.stringify(expected));
  await shot(page, "jobs");
  assert.deepEqual(complaints, []);
});

test("stripe-to-kafka.yaml: a signed webhook is a record with CloudEvents headers, and one that isn't signed is none", async (t) => {
  const daemon = await running(t, "stripe-to-kafka.yaml", { STRIPE_WEBHOOK_SECRET: SECRET });
  const post = (id: string, type: string, secret: string) => {
    const payload = JSON.stringify({ id, type, data: { object: { id: "pi_1", amount: 4200 } } });
    const signature = Stripe.webhooks.generateTestHeaderString({ payload, secret });
    const headers = { "content-type": "application/json", "stripe-signature": signature };
    return fetch(`${daemon.url}/webhooks/stripe`, { method: "POST", headers, body: payload });
  };
  assert.equal((await post("evt_0", "payment_intent.succeeded", "whsec_wrong")).status, 401);
  assert.equal((await post("evt_1", "payment_intent.created", SECRET)).status, 200);
  assert.equal((await post("evt_2", "customer.created", SECRET)).status, 200);
  assert.equal((await post("evt_3", "payment_intent.succeeded", SECRET)).status, 200);
  const consume = ["-C", "-q", "-b", kafka.bootstrap, "-t", "payments", "-o", "beginning", "-c", "2"];
  const printed = await outside("kcat", [...consume, "-f", "%k\\t%h\\t%s\\n"]);
  const records = printed.trim().split("\n");
  assert.equal(records.length, 2);
  const [key, headers, body] = (records[1] ?? "").split("\t");
  assert.equal(key, "pi_1");
  assert.match(headers ?? "", /ce_id=evt_3/);
  assert.match(headers ?? "", /ce_type=payment_intent\.succeeded/);
  assert.equal((JSON.parse(body ?? "") as { id: string }).id, "evt_3");
});

test("kafka-to-rabbitmq.yaml: each order is in its country's queue; one for which there is no queue is dead with that reason", async (t) => {
  const connection = await amqp.connect(rabbitmq.url);
  t.after(() => connection.close());
  const channel = await connection.createChannel();
  await channel.assertExchange("shipping", "topic", { durable: true });
  for (const country of ["de", "fr"]) {
    await channel.assertQueue(`orders-${country}`, { durable: true });
    await channel.bindQueue(`orders-${country}`, "shipping", `order.${country}`);
  }
  const daemon = await running(t, "kafka-to-rabbitmq.yaml");
  const orders = ["de", "fr", "de", "xx"].map((country, n) => ({ id: `o-${n}`, country, weight: 2.5 }));
  const lines = orders.map((order) => `${order.id}|${JSON.stringify(order)}\n`).join("");
  await outside("kcat", ["-P", "-b", kafka.bootstrap, "-t", "orders", "-K|"], lines);
  const got: unknown[] = [];
  for (const country of ["de", "fr"]) {
    await channel.consume(
      `orders-${country}`,
      (message) => {
        if (message !== null) got.push(JSON.parse(message.content.toString()));
      },
      { noAck: true },
    );
  }
  const expected = [
    { order: "o-0", country: "de", weight: 2.5 },
    { order: "o-1", country: "fr", weight: 2.5 },
    { order: "o-2", country: "de", weight: 2.5 },
  ];
  await waitFor("the three that have a queue", () => got.length === 3, 30_000);
  const sorted = (got as { order: string }[]).toSorted((a, b) => (a.order < b.order ? -1 : 1));
  assert.deepEqual(sorted, expected);
  await waitFor("the fourth to be dead", async () => {
    return /unroutable/.test(await (await fetch(`${daemon.admin}/api/dead`)).text());
  });
});
