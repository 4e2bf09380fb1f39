import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { type TestContext, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import Stripe from "stripe";
import { hasEndpoint } from "../../../src/component.ts";
import { LeatError } from "../../../src/errors.ts";
import { unpackHeaders } from "../../../src/event.ts";
import { createListener } from "../../../src/http/listener.ts";
import { webhookSource } from "../../../src/sources/webhook/source.ts";
import { LIMITS } from "../../http/limits.ts";
import { keptLog } from "../../http/log.ts";
import { RawClient } from "../../http/raw-client.ts";
import { waitFor } from "../../wait-for.ts";
import { TestHost } from "../host.ts";

const SECRET = "whsec_of_the_endpoint";
const BODY = '{"id":"evt_1","type":"payment_intent.succeeded","data":{"größe":"é"}}';
const STRIPE = { type: "stripe", secret: SECRET };
const NONE = { type: "none" };
const stripe = new Stripe("sk_test_none");

interface Running {
  readonly url: string;
  readonly host: TestHost;
  stop(): Promise<void>;
  post(body: string | Uint8Array, headers?: Record<string, string>, path?: string): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function run(t: TestContext, fields: object, host = new TestHost()): Promise<Running> {
  const source = webhookSource.create(webhookSource.schema.parse({ path: "/hook", ...fields }), host);
  assert.ok(hasEndpoint(source));
  const { log, lines } = keptLog();
  const listener = createListener({ address: "127.0.0.1:0", log, limits: LIMITS });
  listener.setEndpoints([source.endpoint()]);
  await source.start();
  await listener.start();
  t.after(async () => {
    host.commit();
    await listener.stop(0);
    await source.stop();
    assert.deepEqual(lines, [], "nothing that a client does is an error of ours");
  });
  const url = `${listener.url}/hook`;
  return {
    url,
    host,
    stop: () => source.stop(),
    async post(body, headers = {}, path = "") {
      const response = await fetch(url + path, {
        method: "POST",
        body: typeof body === "string" ? body : Uint8Array.from(body),
        headers,
      });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
}

function signed(body: string, host: TestHost, secret = SECRET): Record<string, string> {
  const timestamp = host.wall / 1000;
  return {
    "stripe-signature": stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp }),
  };
}

const reasons = (host: TestHost) => host.refusals.map(({ reason }) => reason);

test("a signed webhook is appended as it came and answered with its seq and id", async (t) => {
  const { host, post } = await run(t, { verify: STRIPE });
  const answer = await post(BODY, {
    ...signed(BODY, host),
    "content-type": "application/json",
    "leat-hops": "3",
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '{"seq":1795224065810042,"id":"evt_1"}');
  assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
  const [event] = host.appended;
  assert.equal(event?.id, "evt_1");
  assert.equal(event?.type, "payment_intent.succeeded");
  assert.equal(event?.subject, null);
  assert.equal(event?.key, null);
  assert.equal(event?.hops, 3);
  assert.deepEqual(Buffer.from(event?.body ?? []), Buffer.from(BODY));
});

test("the answer waits for the append", async (t) => {
  const { host, url } = await run(t, { verify: NONE });
  host.holding = true;
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  await waitFor("the append", () => host.waiting === 1);
  assert.equal(client.received, "");
  host.commit();
  assert.equal(await client.status(), 200);
});

test("a duplicate is answered 200 and says so, and whether it differs", async (t) => {
  const { host, post } = await run(t, { verify: STRIPE });
  await post(BODY, signed(BODY, host));
  assert.equal(
    (await post(BODY, signed(BODY, host))).text,
    '{"seq":1795224065810042,"id":"evt_1","duplicate":true}',
  );
  const other = '{"id":"evt_1","type":"other"}';
  const answer = await post(other, signed(other, host));
  assert.equal(answer.status, 200);
  assert.equal(answer.text, '{"seq":1795224065810042,"id":"evt_1","duplicate":true,"differs":true}');
  assert.equal(host.appended.length, 1);
});

test("every forgery gets the same 401, and the operator the reason", async (t) => {
  const { host, post } = await run(t, {
    verify: { type: "standard", secret: `whsec_${Buffer.alloc(24).toString("base64")}` },
  });
  const now = host.wall / 1000;
  const digest = Buffer.alloc(32, 1).toString("base64");
  const headers = (timestamp: number, signature: string) => ({
    "webhook-id": "msg_1",
    "webhook-timestamp": String(timestamp),
    "webhook-signature": signature,
  });
  const answers = [
    await post(BODY),
    await post(BODY, headers(now, "nonsense")),
    await post(BODY, headers(now, `v1,${digest}`)),
    await post(BODY, headers(now - 301, `v1,${digest}`)),
    await post(BODY, headers(now + 301, `v1,${digest}`)),
  ];
  for (const { status, text } of answers) {
    assert.equal(status, 401);
    assert.equal(text, answers[0]?.text);
  }
  assert.deepEqual(reasons(host), [
    "signature_missing",
    "signature_malformed",
    "signature_wrong",
    "signature_stale",
    "signature_future",
  ]);
  for (const refusal of host.refusals) {
    assert.equal(refusal.source, "hook");
    assert.equal(refusal.address, "127.0.0.1");
    assert.equal(Buffer.from(refusal.body ?? []).toString(), BODY);
  }
  assert.equal(host.appended.length, 0);
});

test("a second live secret is right too", async (t) => {
  const { host, post } = await run(t, { verify: { type: "stripe", secret: ["whsec_new", SECRET] } });
  assert.equal((await post(BODY, signed(BODY, host))).status, 200);
  assert.equal((await post(`${BODY} `, signed(`${BODY} `, host, "whsec_new"))).status, 200);
  assert.equal((await post(BODY, signed(BODY, host, "whsec_third"))).status, 401);
});

test("credentials are judged before the body comes, and asked for by WWW-Authenticate", async (t) => {
  const { host, url, post } = await run(t, { verify: { type: "bearer", token: "tok" } });
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send("POST /hook HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 900000\r\n\r\n");
  assert.equal(await client.status(), 401);
  assert.match(client.received, /www-authenticate: Bearer/i);
  assert.deepEqual(reasons(host), ["credentials"]);
  assert.equal((await post(BODY, { authorization: "Bearer tok" })).status, 200);
});

test("headers are stored as they came, but no connection's own and no secrets", async (t) => {
  const { host, url } = await run(t, { verify: { type: "api_key", header: "X-Gitlab-Token", key: "k1" } });
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send(
    "POST /hook HTTP/1.1\r\nHost: x\r\nX-GitLab-Token: k1\r\nAuthorization: Basic eA==\r\nCookie: a=b\r\n" +
      "Proxy-Authorization: x\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nTE: trailers\r\n" +
      "X-Odd: caf\xe9\r\nx-odd: two\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
  );
  assert.equal(await client.status(), 200);
  const kept = unpackHeaders(host.appended[0]?.headers ?? new Uint8Array());
  assert.deepEqual(
    kept.map(([name, value]) => [name, Buffer.from(value).toString("latin1")]),
    [
      ["Host", "x"],
      ["X-Odd", "caf\xe9"],
      ["x-odd", "two"],
      ["Content-Type", "text/plain"],
      ["Content-Length", "2"],
    ],
  );
});

test("what lies below the path is the subject, decoded", async (t) => {
  const { host, post } = await run(t, { verify: NONE });
  const subject = async (path: string) => {
    const { status } = await post("x", {}, path);
    return status === 200 ? host.appended.at(-1)?.subject : status;
  };
  assert.equal(await subject("/eu/orders?page=1"), "eu/orders");
  assert.equal(await subject("/"), null);
  assert.equal(await subject("?a=b"), null);
  assert.equal(await subject("/caf%C3%A9"), "café");
  for (const wrong of ["/%zz", "/%ff", "/a%00", "/a%0d%0aset-cookie:%20x"]) {
    assert.equal(await subject(wrong), 400, wrong);
  }
  assert.equal(await subject("s"), 404);
  assert.deepEqual(reasons(host), ["path", "path", "path", "path"]);
});

test("a wrong method gets 405 with Allow, and only one that could bring an event is kept as a refusal", async (t) => {
  const { host, url } = await run(t, { verify: NONE, methods: ["POST", "PUT"] });
  for (const method of ["GET", "DELETE", "HEAD"]) {
    const response = await fetch(url, { method });
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "POST, PUT");
  }
  assert.deepEqual(
    host.refusals.map(({ detail }) => detail),
    ["method DELETE"],
    "whoever only looks has lost nothing",
  );
  const options = await fetch(url, { method: "OPTIONS" });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "POST, PUT");
  assert.equal((await fetch(url, { method: "PUT", body: "x" })).status, 200);
  assert.equal(host.appended.length, 1);
});

test("a body over the limit gets 413, announced or not, and reading stops", async (t) => {
  const { host, url, post } = await run(t, { verify: NONE, max_body: "1KiB" });
  assert.equal((await post("x".repeat(1024))).status, 200);
  assert.equal((await post("x".repeat(1025))).status, 413);

  const announced = await RawClient.open(url);
  t.after(() => announced.close());
  announced.send("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 9007199254740993\r\n\r\n");
  assert.equal(await announced.status(), 413);

  const chunked = await RawClient.open(url);
  t.after(() => chunked.close());
  chunked.send("POST /hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  const flood = setInterval(() => chunked.send(`400\r\n${"y".repeat(1024)}\r\n`), 1);
  t.after(() => clearInterval(flood));
  assert.equal(await chunked.status(), 413);
  await chunked.untilEnd();
  assert.deepEqual(reasons(host), ["too_large", "too_large", "too_large"]);
  assert.equal(host.refusals[2]?.body?.byteLength, 1024, "the first bytes are kept");
});

test("by default the limit is the host's", async (t) => {
  const host = new TestHost();
  host.maxEventBytes = 10;
  const { post } = await run(t, { verify: NONE }, host);
  assert.equal((await post("x".repeat(10))).status, 200);
  assert.equal((await post("x".repeat(11))).status, 413);
});

test("bodies in many pieces, and empty ones, are whole", async (t) => {
  const { host, url, post } = await run(t, { verify: NONE });
  const large = Buffer.alloc(900_000, "abcdefghij");
  assert.equal((await post(large)).status, 200);
  assert.ok(Buffer.from(host.appended[0]?.body ?? []).equals(large));
  assert.equal((await post("")).status, 200);
  assert.equal(host.appended[1]?.body.byteLength, 0);

  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send("POST /hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
  for (const byte of "héllo") client.send(`1\r\n${Buffer.from(byte, "latin1").toString("latin1")}\r\n`);
  client.send("0\r\ntrailer: x\r\n\r\n");
  assert.equal(await client.status(), 200);
  assert.equal(Buffer.from(host.appended[2]?.body ?? []).toString("latin1"), "héllo");
});

test("packed bodies get 415 unless they are wanted", async (t) => {
  const { host, post } = await run(t, { verify: NONE });
  const answer = await post(gzipSync(BODY), { "content-encoding": "gzip" });
  assert.equal(answer.status, 415);
  assert.equal(answer.headers.get("accept-encoding"), "identity");
  assert.equal((await post(BODY, { "content-encoding": "identity" })).status, 200);
  assert.deepEqual(reasons(host), ["encoding"]);
});

test("wanted packed bodies are verified as they came and stored unpacked", async (t) => {
  const { host, post } = await run(t, {
    verify: { type: "github", secret: "s" },
    decompress: true,
  });
  const packings = { gzip: gzipSync, "x-gzip": gzipSync, deflate: deflateSync, br: brotliCompressSync };
  const sign = (wire: Uint8Array) => `sha256=${createHmac("sha256", "s").update(wire).digest("hex")}`;
  for (const [encoding, pack] of Object.entries({ ...packings, Deflate: deflateRawSync })) {
    const wire = pack(BODY);
    const headers = { "content-encoding": encoding, "x-hub-signature-256": sign(wire) };
    assert.equal((await post(wire, headers)).status, 200, encoding);
    const event = host.appended.at(-1);
    assert.equal(Buffer.from(event?.body ?? []).toString(), BODY, encoding);
    const names = unpackHeaders(event?.headers ?? new Uint8Array()).map(([name]) => name.toLowerCase());
    assert.ok(!names.includes("content-encoding") && !names.includes("content-length"));
  }
  const wire = gzipSync(BODY);
  const wrong = { "content-encoding": "gzip", "x-hub-signature-256": sign(Buffer.from(BODY)) };
  assert.equal((await post(wire, wrong)).status, 401, "signed over the unpacked body");
  assert.equal((await post(wire, { "content-encoding": "gzip, gzip" })).status, 415);
  assert.equal((await post(wire, { "content-encoding": "constructor" })).status, 415);
  const garbage = Buffer.from("not gzip");
  const garbled = { "content-encoding": "gzip", "x-hub-signature-256": sign(garbage) };
  assert.equal((await post(garbage, garbled)).status, 400);
});

test("a gzip bomb is stopped at the size and at the ratio", async (t) => {
  const { host, post } = await run(t, { verify: NONE, decompress: { max: "512KiB", ratio: 30 } });
  const packed = { "content-encoding": "gzip" };
  assert.equal((await post(gzipSync(Buffer.alloc(64 * 1024)), packed)).status, 200, "small: harmless");
  assert.equal((await post(gzipSync(Buffer.alloc(100 * 1024)), packed)).status, 413, "the ratio");
  assert.equal((await post(gzipSync(Buffer.alloc(100 * 1024 * 1024)), packed)).status, 413);
  const noise = Buffer.from(Array.from({ length: 600 * 1024 }, (_, n) => (n * 7919 * (n >> 3)) & 0xff));
  assert.equal((await post(gzipSync(noise), packed)).status, 413, "the size");
  assert.deepEqual(reasons(host), ["too_large", "too_large", "too_large"]);
});

test("beyond its rate a source answers 429 with Retry-After, and goes on as time passes", async (t) => {
  const { host, post } = await run(t, { verify: NONE, rate: "2/m" });
  assert.equal((await post("1")).status, 200);
  assert.equal((await post("2")).status, 200);
  const answer = await post("3");
  assert.equal(answer.status, 429);
  assert.equal(answer.headers.get("retry-after"), "30");
  assert.deepEqual(reasons(host), ["rate"]);
  host.monotonic += 30_000;
  assert.equal((await post("3")).status, 200);
  assert.equal((await post("4")).status, 429);
});

test("who isn't verified uses up nothing of the rate, by a signature or by credentials", async (t) => {
  const byBody = await run(t, { verify: STRIPE, rate: "2/m" });
  for (let n = 0; n < 5; n++) assert.equal((await byBody.post(BODY)).status, 401);
  for (const status of [200, 200, 429]) {
    assert.equal((await byBody.post(BODY, signed(BODY, byBody.host))).status, status);
  }
  const token = "a-token-that-is-long-enough";
  const byHead = await run(t, { verify: { type: "bearer", token }, rate: "2/m" });
  for (let n = 0; n < 5; n++) assert.equal((await byHead.post(BODY)).status, 401);
  for (const status of [200, 200, 429]) {
    assert.equal((await byHead.post(BODY, { authorization: `Bearer ${token}` })).status, status);
  }
});

test("while intake is closed the answer is 503 with Retry-After, before the body", async (t) => {
  const { host, url, post } = await run(t, { verify: NONE });
  host.state = { open: false, reason: "the disk is full", retryAfterMs: 4200 };
  const client = await RawClient.open(url);
  t.after(() => client.close());
  client.send("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n");
  assert.equal(await client.status(), 503);
  assert.match(client.received, /retry-after: 5/i);
  host.state = { open: true };
  assert.equal((await post("x")).status, 200);
  assert.deepEqual(host.refusals, []);
});

test("what the journal rejects is told by its kind", async (t) => {
  const { host, post } = await run(t, { verify: NONE });
  host.failure = new LeatError("unavailable", "journal_full", "full", { retryAfterMs: 1500 });
  const unavailable = await post("x");
  assert.equal(unavailable.status, 503);
  assert.equal(unavailable.headers.get("retry-after"), "2");
  host.failure = new LeatError("storage", "storage_error", "the disk at /var/secret failed");
  const storage = await post("x");
  assert.equal(storage.status, 503);
  assert.ok(!storage.text.includes("/var/secret"));
  host.failure = new LeatError("refused", "id_too_long", "the id is over 512 bytes");
  assert.equal((await post("x")).status, 400);
  assert.deepEqual(reasons(host), ["id_too_long"]);
  assert.equal(host.appended.length, 0);
  host.failure = null;
  assert.equal((await post("x")).status, 200);
});

test("the status of a yes is the configured one", async (t) => {
  const { post } = await run(t, { verify: NONE, status: 202 });
  assert.equal((await post("x")).status, 202);
  const { post: silent } = await run(t, { verify: NONE, status: 204 });
  const answer = await silent("x");
  assert.equal(answer.status, 204);
  assert.equal(answer.text, "");
});

test("an id with quotes and line ends stays within the answer's JSON", async (t) => {
  const { host, post } = await run(t, { verify: STRIPE });
  const body = JSON.stringify({ id: 'a"\r\nset-cookie: x\u2028', type: "t" });
  const answer = await post(body, signed(body, host));
  assert.equal(answer.status, 200);
  assert.equal((JSON.parse(answer.text) as { id: string }).id, 'a"\r\nset-cookie: x\u2028');
  assert.equal(answer.headers.get("set-cookie"), null);
});

test("stop turns new requests away and finishes those that have begun", async (t) => {
  const { host, url, post, stop } = await run(t, { verify: NONE });
  host.holding = true;
  const begun = await RawClient.open(url);
  t.after(() => begun.close());
  begun.send("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  await waitFor("the append", () => host.waiting === 1);
  let stopped = false;
  const stopping = stop().then(() => {
    stopped = true;
  });
  const late = await post("x");
  assert.equal(late.status, 503);
  assert.equal(late.headers.get("retry-after"), "1");
  assert.equal(stopped, false);
  host.commit();
  assert.equal(await begun.status(), 200);
  await stopping;
  assert.equal(host.appended.length, 1);
});

test("a sender that leaves before the answer loses nothing but the answer", async (t) => {
  const { host, url, post } = await run(t, { verify: NONE });
  host.holding = true;
  const client = await RawClient.open(url);
  client.send("POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi");
  await waitFor("the append", () => host.waiting === 1);
  client.close();
  host.holding = false;
  host.commit();
  assert.equal((await post("x")).status, 200);
  assert.equal(host.appended.length, 2);
});
