/** The baseline of the ingest row: a Fastify that checks the HMAC over the raw body, answers 200, and keeps nothing. */
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { SECRET } from "./wrk.ts";

const app = Fastify();
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

app.post("/webhooks/github", (request, reply) => {
  const given = Buffer.from(String(request.headers["x-hub-signature-256"] ?? "").slice(7), "hex");
  const expected = createHmac("sha256", SECRET)
    .update(request.body as Buffer)
    .digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send();
  return reply.send({ ok: true });
});

await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
