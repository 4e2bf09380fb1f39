/**
 * `node produce-glue.ts PORT BROKER TOPIC`: the baseline of "webhook to Kafka", what one would write by hand: Fastify
 * checks the HMAC, kafkajs produces with acks all, and the sender is answered once the broker has said yes.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Kafka, logLevel } from "kafkajs";
import { SECRET } from "./wrk.ts";

const [port, broker = "", topic = ""] = process.argv.slice(2);
const producer = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR }).producer();
await producer.connect();

const app = Fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

app.post("/webhooks/github", async (request, reply) => {
  const body = request.body as Buffer;
  const given = Buffer.from(String(request.headers["x-hub-signature-256"] ?? "").slice(7), "hex");
  const expected = createHmac("sha256", SECRET).update(body).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send();
  await producer.send({ topic, acks: -1, messages: [{ value: body }] });
  return reply.send({ ok: true });
});

await app.listen({ host: "127.0.0.1", port: Number(port) });
