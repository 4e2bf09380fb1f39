/**
 * Serves these pages, and stands for the rest of your own application: it logs a visitor in (a cookie with a signed token),
 * its billing service says yes, and its model answers.
 *
 *     node examples/serve.js            # http://127.0.0.1:8000
 */
import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };
const HERE = import.meta.dirname;

/** The client library as one file: as it was built, or, in a checkout, as it is. */
async function clientLibrary() {
  const source = join(HERE, "../scripts/client.ts");
  if (existsSync(source)) return (await import(source)).bundleClient();
  return await readFile(join(HERE, "../dist/client/leat-client.js"), "utf8");
}

/** What your own login would set: who it is, for how long, signed with the secret that leat.yaml has. */
function token(user, secret) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user, aud: "app", iat: now, exp: now + 8 * 60 * 60 };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** Plays the model: posts its answer to Leat, token by token, as one request that lasts as long as the answer. */
async function answer(id, leat, producer) {
  const text = await readFile(join(HERE, "tokens/answer.txt"), "utf8");
  async function* lines() {
    for (const token of text.trim().match(/\s*\S{1,6}/g)) {
      yield `${JSON.stringify({ token })}\n`;
      await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 30));
    }
  }
  const response = await fetch(`${leat}/tokens`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${producer}`,
      "content-type": "application/x-ndjson",
      "leat-request-id": id,
    },
    body: ReadableStream.from(lines()).pipeThrough(new TextEncoderStream()),
    duplex: "half",
  });
  return response.status;
}

/**
 * Resolves with the server, which listens. `secret`: of the sessions' tokens; `leat` and `producer`: where Leat is, and the
 * token with which the model posts to it.
 */
export async function servePages(port, options) {
  const library = await clientLibrary();
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    const reply = (status, type, body) => response.writeHead(status, { "content-type": type }).end(body);
    if (request.method === "POST" && pathname === "/login") {
      const user = searchParams.get("user") ?? "ada";
      response.setHeader(
        "set-cookie",
        `session=${token(user, options.secret)}; Path=/; HttpOnly; SameSite=Lax`,
      );
      reply(200, "application/json", JSON.stringify({ user }));
    } else if (request.method === "POST" && pathname === "/billing") {
      request.resume();
      reply(200, "application/json", JSON.stringify({ booked: true }));
    } else if (request.method === "POST" && pathname === "/ask") {
      const status = await answer(searchParams.get("id"), options.leat, options.producer).catch(() => 502);
      reply(status, "application/json", "{}");
    } else if (pathname === "/leat-client.js") reply(200, TYPES[".js"], library);
    else {
      const path = normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
      const body = await readFile(join(HERE, path)).catch(() => null);
      if (body === null || !(extname(path) in TYPES)) reply(404, "text/plain", "There is nothing here.");
      else reply(200, TYPES[extname(path)], body);
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await servePages(8000, {
    secret: process.env.JWT_SECRET ?? "a secret of the examples, not one of yours",
    leat: process.env.LEAT_URL ?? "http://127.0.0.1:8080",
    producer: process.env.PRODUCER_TOKEN ?? "a-token-of-the-examples",
  });
  console.log("http://127.0.0.1:8000/");
}
