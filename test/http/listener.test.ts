import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { LeatError } from "../../src/errors.ts";
import { answerJson } from "../../src/http/answer.ts";
import { BodyBudget, readBody } from "../../src/http/body.ts";
import { createListener, type Listener } from "../../src/http/listener.ts";
import type { HttpLimits } from "../../src/plan.ts";
import { waitFor } from "../wait-for.ts";
import { LIMITS } from "./limits.ts";
import { keptLog } from "./log.ts";
import { RawClient } from "./raw-client.ts";

type Handle = (request: IncomingMessage, response: ServerResponse, rest: string) => void | Promise<void>;

const budget = new BodyBudget(2 ** 20);

/** Answers with the body that came. */
const echo: Handle = async (request, response) => {
  const { body, fault } = await readBody(request, response, 1000, null, budget);
  if (fault === null) answerJson(response, 200, JSON.stringify(body.toString("latin1")));
};

async function listen(
  t: TestContext,
  handles: Record<string, Handle>,
  limits: Partial<HttpLimits> = {},
): Promise<{ listener: Listener; url: string; lines: ReturnType<typeof keptLog>["lines"] }> {
  const { log, lines } = keptLog();
  const listener = createListener({ address: "127.0.0.1:0", log, limits: { ...LIMITS, ...limits } });
  listener.setEndpoints(Object.entries(handles).map(([path, handle]) => ({ path, subtree: true, handle })));
  await listener.start();
  t.after(() => listener.stop(0));
  return { listener, url: listener.url, lines };
}

/** The code of the last answer, which must be an error as Leat writes them. */
function lastCode(client: RawClient): string {
  const answer = client.received.slice(client.received.search(/HTTP\/1\.1 \d{3}(?!.*HTTP\/1\.1 \d{3})/s));
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  assert.match(head, /content-type: application\/json/i, answer);
  const { error } = JSON.parse(body) as { error: { code: string; message: string } };
  assert.ok(error.message.length > 0);
  return error.code;
}

async function open(t: TestContext, url: string): Promise<RawClient> {
  const client = await RawClient.open(url);
  t.after(() => client.close());
  return client;
}

test("answers by the endpoint, and 404 as JSON where there is none", async (t) => {
  const { url } = await listen(t, {
    "/a": (_request, response, rest) => answerJson(response, 200, `"${rest}"`),
  });
  assert.equal(await (await fetch(`${url}/a/b?c`)).json(), "/b");
  const none = await fetch(`${url}/b`);
  assert.equal(none.status, 404);
  assert.deepEqual(Object.keys((await none.json()) as object), ["error"]);
});

test("a reload swaps endpoints under connections that stay open", async (t) => {
  const { listener, url } = await listen(t, { "/a": (_request, response) => answerJson(response, 200, "1") });
  const client = await open(t, url);
  client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.equal(await client.status(), 200);
  listener.setEndpoints([
    { path: "/b", subtree: false, handle: (_request, response) => answerJson(response, 201, "2") },
  ]);
  client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.equal(await client.status(2), 404);
  assert.equal(await client.status(3), 201);
});

test("odd targets get an answer and the daemon lives on", async (t) => {
  const { url } = await listen(t, {
    "/a": (_request, response, rest) => answerJson(response, 200, `"${rest}"`),
  });
  const expected: Record<string, number> = {
    "/a": 200,
    "http://other.example/a": 200,
    "//a": 404,
    "/a%2fb": 404,
    "/%zz": 404,
    "/a/%zz%00": 200,
    "/../a": 404,
    "*": 400,
    "/\x01": 400,
    a: 400,
  };
  for (const [target, status] of Object.entries(expected)) {
    const client = await open(t, url);
    client.send(`GET ${target} HTTP/1.1\r\nhost: x\r\n\r\n`);
    assert.equal(await client.status(), status, target);
    client.close();
  }
});

test("what is no HTTP is answered 400 and closed; oversized headers 431", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  for (const garbage of [
    "\x16\x03\x01\x02\x00",
    "GET /a HTTP/9.9\r\nhost: x\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost: x\r\nbad header: y\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "GET /a HTTP/1.1\r\nhost: x\r\nx: a\r\n b\0\r\n\r\n",
  ]) {
    const client = await open(t, url);
    client.send(garbage);
    assert.equal(await client.status(), 400, JSON.stringify(garbage));
    await client.untilEnd();
    assert.equal(lastCode(client), "bad_request");
  }
  const client = await open(t, url);
  client.send(`GET /a HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(100_000)}\r\n\r\n`);
  assert.equal(await client.status(), 431);
  await client.untilEnd();
  assert.equal(lastCode(client), "headers_too_large");
});

test("a request without Host, or with two, is answered 400 as other errors are, and the connection is of use", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const client = await open(t, url);
  client.send("GET /a HTTP/1.1\r\n\r\n");
  assert.equal(await client.status(1), 400);
  assert.equal(lastCode(client), "bad_host");
  client.send("GET /a HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n");
  assert.equal(await client.status(2), 400);
  assert.equal(lastCode(client), "bad_host");
  client.send("GET /a HTTP/1.1\r\nhost: x\r\n\r\n");
  assert.equal(await client.status(3), 200);
  const old = await open(t, url);
  old.send("GET /a HTTP/1.0\r\n\r\n");
  assert.equal(await old.status(), 200, "HTTP/1.0 has no Host");
});

test("a target over 16 KiB is answered 414", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const client = await open(t, url);
  client.send(`GET /a?${"x".repeat(16 * 1024)} HTTP/1.1\r\nhost: x\r\n\r\n`);
  assert.equal(await client.status(), 414);
  assert.equal(lastCode(client), "target_too_long");
});

test("CONNECT and upgrades to other protocols are answered, not cut", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const proxy = await open(t, url);
  proxy.send("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n");
  assert.equal(await proxy.status(), 501);
  await proxy.untilEnd();
  assert.equal(lastCode(proxy), "no_proxy");
  const upgrade = await open(t, url);
  upgrade.send("GET /a HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
  assert.equal(await upgrade.status(), 200);
});

test("pipelined requests are answered in order, and garbage behind them costs them nothing", async (t) => {
  let answerFirst = () => {};
  const { url } = await listen(t, {
    "/slow": (_request, response) => {
      answerFirst = () => answerJson(response, 201, "1");
    },
    "/fast": (_request, response) => answerJson(response, 202, "2"),
  });
  const client = await open(t, url);
  client.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /fast HTTP/1.1\r\nhost: x\r\n\r\n");
  await waitFor("the slow request", () => answerFirst.toString().includes("201"));
  assert.deepEqual(client.statuses(), []);
  answerFirst();
  assert.equal(await client.status(2), 202);
  assert.deepEqual(client.statuses(), [201, 202]);

  answerFirst = () => {};
  client.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGARBAGE\r\n\r\n");
  await waitFor("the slow request", () => answerFirst.toString().includes("201"));
  answerFirst();
  assert.equal(await client.status(3), 201);
  await client.untilEnd();
  assert.deepEqual(client.statuses(), [201, 202, 201]);
});

test("a client that ends its side after the request still gets its answer", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const client = await open(t, url);
  client.socket.end("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  assert.equal(await client.status(), 200);
  await client.untilEnd();
});

test("a client that leaves in the middle of its body costs nothing but itself", async (t) => {
  let fault: string | null = "none yet";
  const { url } = await listen(t, {
    "/a": async (request, response) => {
      ({ fault } = await readBody(request, response, 1000, null, budget));
      if (fault === null) answerJson(response, 200, "1");
    },
  });
  for (const leave of [(client: RawClient) => client.socket.end(), (client: RawClient) => client.close()]) {
    fault = "none yet";
    const client = await open(t, url);
    client.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhal");
    client.socket.once("drain", () => {});
    leave(client);
    await waitFor("the fault", () => fault === "aborted");
  }
  assert.equal((await fetch(`${url}/a`, { method: "POST", body: "x" })).status, 200);
});

test("slow headers and slow bodies are cut off with 408, an open answer isn't", async (t) => {
  const limits = { headersTimeoutMs: 200, requestTimeoutMs: 400 };
  let stream: ServerResponse | null = null;
  const { url } = await listen(
    t,
    {
      "/a": echo,
      "/stream": (_request, response) => {
        stream = response;
        response.writeHead(200).write("one");
      },
    },
    limits,
  );
  const streaming = await open(t, url);
  streaming.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n");
  const silent = await open(t, url);
  const slowHeaders = await open(t, url);
  slowHeaders.send("POST /a HTTP/1.1\r\nhost: x\r\n");
  const slowBody = await open(t, url);
  slowBody.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123");
  for (const client of [slowHeaders, slowBody]) {
    assert.equal(await client.status(), 408);
    await client.untilEnd();
    assert.equal(lastCode(client), "timeout");
  }
  await silent.untilEnd();
  (stream as ServerResponse | null)?.end("two");
  await waitFor("the stream's end", () => streaming.received.includes("two"));
});

test("Expect: 100-continue is answered when the body is wanted, and not before an early no", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const wanted = await open(t, url);
  wanted.send("POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n");
  await waitFor("100", () => wanted.received.startsWith("HTTP/1.1 100"));
  wanted.send("hi");
  assert.equal(await wanted.status(), 200);

  const unwanted = await open(t, url);
  unwanted.send("POST /b HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2000000\r\n\r\n");
  assert.equal(await unwanted.status(), 404);
  assert.ok(!unwanted.received.includes(" 100 "));

  const odd = await open(t, url);
  odd.send("POST /a HTTP/1.1\r\nhost: x\r\nexpect: the-unexpected\r\ncontent-length: 2\r\n\r\n");
  assert.equal(await odd.status(), 417);
  assert.equal(lastCode(odd), "expectation");
});

test("a sender in the middle of a large body that isn't wanted sees the answer", async (t) => {
  const { url } = await listen(t, {});
  const client = await open(t, url);
  client.send(`POST /none HTTP/1.1\r\nhost: x\r\ncontent-length: ${2 ** 30}\r\n\r\n`);
  const flood = setInterval(() => client.send(Buffer.alloc(64 * 1024)), 1);
  t.after(() => clearInterval(flood));
  assert.equal(await client.status(), 404);
  await client.untilEnd();
});

test("after a small body that isn't wanted the connection is still of use", async (t) => {
  const { url } = await listen(t, { "/a": echo });
  const client = await open(t, url);
  client.send("POST /none HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
  client.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc");
  assert.equal(await client.status(1), 404);
  assert.equal(await client.status(2), 200);
});

test("a defect in an endpoint is answered 500 and logged, thrown or rejected", async (t) => {
  const { url, lines } = await listen(t, {
    "/throws": () => {
      throw new Error("a secret detail");
    },
    "/rejects": () => Promise.reject(new Error("a secret detail")),
  });
  for (const path of ["/throws", "/rejects"]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 500);
    assert.ok(!(await response.text()).includes("secret"));
  }
  assert.equal(lines.filter(({ level }) => level === "error").length, 2);
});

test("stop finishes what is under way, closes idle connections and takes no more", async (t) => {
  let answer = () => {};
  const { listener, url } = await listen(t, {
    "/slow": (_request, response) => {
      answer = () => answerJson(response, 200, "1");
    },
    "/fast": (_request, response) => answerJson(response, 200, "1"),
  });
  const idle = await open(t, url);
  idle.send("GET /fast HTTP/1.1\r\nhost: x\r\n\r\n");
  await idle.status();
  const busy = await open(t, url);
  busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n");
  await waitFor("the slow request", () => answer.toString().includes("200"));

  const stopped = listener.stop(60_000);
  await idle.untilEnd();
  await assert.rejects(RawClient.open(url), { code: "ECONNREFUSED" });
  assert.deepEqual(busy.statuses(), []);
  answer();
  assert.equal(await busy.status(), 200);
  assert.match(busy.received, /connection: close/i);
  await stopped;
});

test("stop leaves an open stream to its owner, and cuts it in the end", async (t) => {
  const streams: ServerResponse[] = [];
  const { listener, url } = await listen(t, {
    "/stream": (_request, response) => {
      response.writeHead(200).write("one");
      streams.push(response);
    },
  });
  const ended = await open(t, url);
  ended.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n");
  const cut = await open(t, url);
  cut.send("GET /stream HTTP/1.1\r\nhost: x\r\n\r\n");
  await waitFor("both streams", () => streams.length === 2);
  const stopped = listener.stop(300);
  streams[0]?.end("bye");
  await ended.untilEnd();
  assert.ok(ended.received.includes("bye"));
  await stopped;
  await cut.untilEnd();
});

test("a thousand open connections, and every one is served", async (t) => {
  const { listener, url } = await listen(t, { "/a": echo });
  const clients: RawClient[] = [];
  t.after(() => {
    for (const client of clients) client.close();
  });
  for (let batch = 0; batch < 20; batch++) {
    clients.push(...(await Promise.all(Array.from({ length: 50 }, () => RawClient.open(url)))));
  }
  await waitFor("a thousand connections", async () => (await listener.connections()) === 1000);
  for (const client of clients) client.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  const statuses = await Promise.all(clients.map((client) => client.status()));
  assert.ok(statuses.every((status) => status === 200));
});

test("connections beyond the bound are turned away, which is told once, and places become free", async (t) => {
  const { listener, url, lines } = await listen(t, { "/a": echo }, { maxConnections: 1 });
  const first = await open(t, url);
  await waitFor("the first one", async () => (await listener.connections()) === 1);
  for (let more = 0; more < 2; more++) {
    const second = await open(t, url);
    await second.untilEnd();
  }
  assert.equal(lines.filter(({ message }) => message.includes("turned away")).length, 1);
  first.close();
  await waitFor("the place", async () => (await listener.connections()) === 0);
  assert.equal((await fetch(`${url}/a`, { method: "POST", body: "x" })).status, 200);
});

test("after its share of requests a connection is told to close, and what comes all the same gets 503", async (t) => {
  const { url } = await listen(t, { "/a": echo }, { maxRequestsPerConnection: 2 });
  const client = await open(t, url);
  const request = "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi";
  client.send(request);
  await client.status();
  assert.doesNotMatch(client.received, /connection: close/i);
  client.send(request);
  assert.equal(await client.status(2), 200);
  assert.match(client.received, /connection: close/i);
  client.send(request);
  assert.equal(await client.status(3), 503);
  await client.untilEnd();
});

test("an address that is taken is told with its remedy", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(typeof address === "object" && address !== null);
  const listener = createListener({
    address: `127.0.0.1:${address.port}`,
    log: keptLog().log,
    limits: LIMITS,
  });
  await assert.rejects(listener.start(), (error: unknown) => {
    return (
      error instanceof LeatError && error.code === "cannot_listen" && /another process/.test(error.hint ?? "")
    );
  });
  await listener.stop();
});

test("an IPv6 address", async (t) => {
  const listener = createListener({ address: "[::1]:0", log: keptLog().log, limits: LIMITS });
  await listener.start();
  t.after(() => listener.stop(0));
  assert.equal((await fetch(listener.url)).status, 404);
});
