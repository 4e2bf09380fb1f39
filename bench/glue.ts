/**
 * `node glue.ts PORT RECEIVER [transform]`: the baseline of the end-to-end rows, what one would write by hand: Fastify
 * checks the HMAC, undici posts to the receiver, and the sender is answered once the receiver has answered. It keeps
 * nothing and tries nothing again. With `transform` it picks events and fields as the route in end-to-end.ts does.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Pool } from "undici";
import { SECRET } from "./wrk.ts";

const [port, receiver = "", transforms] = process.argv.slice(2);
const app = Fastify();
const pool = new Pool(receiver, { connections: 64, pipelining: 1 });

interface Hook {
  readonly action: string;
  readonly number: number;
  readonly pull_request: { readonly title: string; readonly state: string; readonly commits: number };
  readonly repository: { readonly id: number; readonly full_name: string; readonly language: string };
  readonly sender: { readonly id: number; readonly login: string };
}

app.removeAllContentTypeParsers();
app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

app.post("/webhooks/github", async (request, reply) => {
  const body = request.body as Buffer;
  const given = Buffer.from(String(request.headers["x-hub-signature-256"] ?? "").slice(7), "hex");
  const expected = createHmac("sha256", SECRET).update(body).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return reply.code(401).send();
  const send = transforms === undefined ? body : transformed(body, String(request.headers["x-github-event"]));
  if (send === null) return reply.send({ ok: true });
  const answer = await pool.request({
    method: "POST",
    path: "/",
    headers: { "content-type": "application/json" },
    body: send,
  });
  await answer.body.dump();
  return reply.code(answer.statusCode < 300 ? 200 : 502).send({ ok: answer.statusCode < 300 });
});

function transformed(body: Buffer, type: string): string | null {
  const hook = JSON.parse(body.toString()) as Hook;
  if (!(hook.action === "opened" && hook.number > 10)) return null;
  return JSON.stringify({
    event: type,
    action: hook.action,
    number: hook.number,
    title: hook.pull_request.title,
    state: hook.pull_request.state,
    commits: hook.pull_request.commits,
    repository: hook.repository.full_name,
    language: hook.repository.language,
    sender: hook.sender.login,
    summary: `${hook.sender.login} opened #${hook.number} in ${hook.repository.full_name}`,
  });
}

await app.listen({ host: "127.0.0.1", port: Number(port) });
