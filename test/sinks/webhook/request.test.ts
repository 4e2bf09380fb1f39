import assert from "node:assert/strict";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";
import { packHeaders } from "../../../src/event.ts";
import { standardKey, standardSignature } from "../../../src/sinks/webhook/sign.ts";
import { webhookSink } from "../../../src/sinks/webhook/sink.ts";
import { newEvent } from "../../delivery/kit.ts";
import { deliver, receiver, webhook } from "./kit.ts";

const OLD = `whsec_${Buffer.alloc(24, 1).toString("base64")}`;
const NEW = `whsec_${Buffer.alloc(32, 2).toString("base64")}`;

const withHeaders = (...headers: [string, string][]) => ({
  ...newEvent({ source: "stripe", headers: packHeaders(headers) }),
  seq: 7,
});

test("the body goes out byte for byte, with its content type and Leat's headers", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url: `${url}/hooks` });
  const body = Buffer.from([0, 255, 13, 10, 0xc3, 0x28]);
  await deliver(sink, { body, contentType: "application/x-thing; v=1", attempt: 3, hops: 2 });
  const [request] = received;
  assert.equal(request?.method, "POST");
  assert.equal(request?.url, "/hooks");
  assert.deepEqual(request?.body, body);
  const { headers } = request!;
  assert.equal(headers["content-type"], "application/x-thing; v=1");
  assert.equal(headers["content-length"], "6");
  assert.equal(headers["webhook-id"], "stripe_1795224065810042");
  assert.equal(headers["leat-source"], "stripe");
  assert.equal(headers["leat-id"], "e1");
  assert.equal(headers["leat-route"], "payments");
  assert.equal(headers["leat-attempt"], "3");
  assert.equal(headers["leat-hops"], "2");
  assert.equal(headers["leat-replay"], undefined);
  assert.equal(headers["webhook-signature"], undefined);
  assert.match(headers["user-agent"] ?? "", /^Leat\/\d/);
  assert.match(String(headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  assert.ok(Math.abs(Number(headers["webhook-timestamp"]) - Date.now() / 1000) < 10);
});

test("leat-id is the sender's own id, whatever is in it, and can't forge a header", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url });
  const ids = [
    "evt_1",
    "a/b:c?d=e,f;g",
    "100%",
    " a b ",
    "x\r\nleat-route: forged\r\n\r\n",
    "žluťoučký 🐎",
    "a\0b\x7f",
  ];
  for (const id of ids) await deliver(sink, { event: { ...newEvent({ id }), seq: 7 } });
  const sent = received.map(({ headers }) => String(headers["leat-id"]));
  assert.deepEqual(sent.map(decodeURIComponent), ids);
  assert.deepEqual(sent.slice(0, 3), ["evt_1", "a/b:c?d=e,f;g", "100%25"]);
  for (const value of sent) assert.match(value, /^[\x21-\x7e]+$/);
  assert.ok(received.every(({ headers }) => headers["leat-route"] === "payments"));
  assert.equal(
    (await deliver(sink, { event: { ...newEvent({ id: "\ud800" }), seq: 7 } })).result,
    "delivered",
  );
});

test("an event without content type or body goes out without", async (t) => {
  const { url, received } = await receiver(t);
  const report = await deliver(await webhook(t, { url }), { body: new Uint8Array(0), contentType: null });
  assert.equal(report.result, "delivered");
  assert.equal(received[0]?.headers["content-type"], undefined);
  assert.equal(received[0]?.body.byteLength, 0);
});

test("J4: webhook-id is the same over attempts and replays", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url });
  await deliver(sink, { attempt: 1 });
  await deliver(sink, { attempt: 2 });
  await deliver(sink, { attempt: 1, replay: 4 });
  assert.equal(new Set(received.map(({ headers }) => headers["webhook-id"])).size, 1);
  assert.equal(received[2]?.headers["leat-replay"], "4");
});

test("the signature holds for the independent libraries, by each secret of a rotation, over bytes that are no text", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url, sign: { type: "standard", secret: [NEW, OLD] } });
  await deliver(sink, { body: Buffer.from('{"ä":1}') });
  await deliver(sink, { body: Buffer.from([0xff, 0xfe, 0x00]) });
  const headers = received[0]!.headers as Record<string, string>;
  assert.equal(headers["webhook-signature"]?.split(" ").length, 2);
  for (const secret of [OLD, NEW]) {
    assert.deepEqual(new Webhook(secret).verify(received[0]!.body, headers), { ä: 1 });
    assert.deepEqual(new SvixWebhook(secret).verify(received[0]!.body, headers), { ä: 1 });
  }
  assert.throws(() =>
    new Webhook(`whsec_${Buffer.alloc(24, 9).toString("base64")}`).verify(received[0]!.body, headers),
  );
  const binary = received[1]!.headers as Record<string, string>;
  const expected = standardSignature(
    [standardKey(NEW)!, standardKey(OLD)!],
    binary["webhook-id"]!,
    Number(binary["webhook-timestamp"]),
    received[1]!.body,
  );
  assert.equal(binary["webhook-signature"], expected);
});

test("the specification's vector", () => {
  const key = standardKey("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  const signature = standardSignature(
    [key!],
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    1614265330,
    Buffer.from('{"test": 2432232314}'),
  );
  assert.equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

test("auth, headers and method as configured", async (t) => {
  const { url, received } = await receiver(t);
  await deliver(
    await webhook(t, {
      url,
      method: "PUT",
      headers: { "X-Tenant": "7", "Content-Type": "application/cloudevents+json", "User-Agent": "us" },
      auth: { type: "basic", user: "ä", password: "p:w" },
    }),
  );
  await deliver(await webhook(t, { url, auth: { type: "bearer", token: "tok" } }));
  const [first, second] = received;
  assert.equal(first?.method, "PUT");
  assert.equal(first?.headers["x-tenant"], "7");
  assert.equal(first?.headers["content-type"], "application/cloudevents+json");
  assert.equal(first?.headers["user-agent"], "us");
  assert.equal(first?.headers.authorization, `Basic ${Buffer.from("ä:p:w").toString("base64")}`);
  assert.equal(second?.headers.authorization, "Bearer tok");
});

test("of the event's own headers only those that are listed go on, and never those of the connection", async (t) => {
  const { url, received } = await receiver(t);
  const event = withHeaders(
    ["X-GitHub-Event", "push"],
    ["Authorization", "Bearer of the sender"],
    ["Host", "evil.example"],
    ["Transfer-Encoding", "chunked"],
    ["Cookie", "a=b"],
    ["webhook-id", "forged"],
  );
  await deliver(await webhook(t, { url }), { event });
  const sink = await webhook(t, {
    url,
    forward_headers: ["x-github-event", "host", "transfer-encoding", "webhook-id", "content-length"],
  });
  await deliver(sink, { event });
  assert.equal(received[0]?.headers["x-github-event"], undefined);
  assert.equal(received[0]?.headers.authorization, undefined);
  assert.equal(received[0]?.headers.cookie, undefined);
  const { headers } = received[1]!;
  assert.equal(headers["x-github-event"], "push");
  assert.equal(headers.host, new URL(url).host);
  assert.equal(headers["transfer-encoding"], undefined);
  assert.equal(headers["webhook-id"], "stripe_7");
});

test("header injection through event data is rejected, and the next event goes through", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url, forward_headers: ["x-note"] });
  for (const contentType of ["a\r\nx-evil: 1", "a\nb", "a\0b", "ünï\u2028"]) {
    const report = await deliver(sink, { contentType });
    assert.equal(report.result, "rejected", JSON.stringify(contentType));
    assert.equal(report.result === "rejected" && report.error, "unsendable");
  }
  const report = await deliver(sink, { event: withHeaders(["X-Note", "a\r\nx-evil: 1"]) });
  assert.equal(report.result, "rejected");
  assert.equal((await deliver(sink)).result, "delivered");
  assert.equal(received.length, 1);
});

test("an event's own trace is continued; what is no valid traceparent begins a new one", async (t) => {
  const { url, received } = await receiver(t);
  const sink = await webhook(t, { url });
  const trace = "0af7651916cd43dd8448eb211c80319c";
  await deliver(sink, { event: withHeaders(["Traceparent", `00-${trace}-b7ad6b7169203331-01`]) });
  for (const invalid of [
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    "nonsense",
    `00-${trace}-b7ad6b7169203331-01-x`,
  ]) {
    await deliver(sink, { event: withHeaders(["traceparent", invalid]) });
  }
  const traces = received.map(({ headers }) => String(headers.traceparent));
  assert.match(traces[0]!, new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
  assert.ok(!traces[0]!.includes("b7ad6b7169203331"), "in a span of its own");
  for (const fresh of traces.slice(1)) {
    assert.match(fresh, /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    assert.ok(!fresh.includes(trace));
  }
});

test("path and query are appended to the URL's; a template's rendering takes the place of its text", async (t) => {
  const { url, received } = await receiver(t);
  const seen = async (config: Record<string, unknown>, fields: Record<string, string>) => {
    await deliver(await webhook(t, { url, ...config }), { fields });
    return received.at(-1)?.url;
  };
  assert.equal(await seen({}, {}), "/");
  assert.equal(await seen({ url: `${url}/a?x=1#frag` }, { url: `${url}/a?x=1#frag` }), "/a?x=1");
  assert.equal(await seen({ url: `${url}/a/` }, { url: `${url}/a/`, path: "/b/c" }), "/a/b/c");
  assert.equal(await seen({ url: `${url}/a?x=1` }, { path: "b", query: "y=2" }), "/a/b?x=1&y=2");
  assert.equal(await seen({ url: `${url}/u/{{ key }}` }, { url: `${url}/u/a%2Fb` }), "/u/a%2Fb");
  assert.equal(
    await seen({}, { path: "/grüße und so", query: "?q=1#2" }),
    "/gr%C3%BC%C3%9Fe%20und%20so?q=1%232",
  );
  assert.equal(await seen({}, { path: "/a?b=c" }), "/a%3Fb=c");
  assert.equal(await seen({ path: "/const" }, { path: "/const" }), "/const");
});

test("a route may name another URL in place of the sink's", async (t) => {
  const own = await receiver(t);
  const other = await receiver(t);
  const sink = await webhook(t, { url: own.url });
  await deliver(sink, { fields: { url: `${other.url}/elsewhere` } });
  assert.equal(own.received.length, 0);
  assert.equal(other.received[0]?.url, "/elsewhere");
});

test("what is wrong in the configuration is said before anything is sent", () => {
  const url = "https://example.com/hooks";
  const bad = (config: Record<string, unknown>) => {
    const { success, error } = webhookSink.schema.safeParse({ url, ...config });
    assert.equal(success, false, JSON.stringify(config));
    return error?.issues.map(({ message }) => message).join("; ") ?? "";
  };
  assert.match(bad({ url: "https://{{ body.host }}/x" }), /template in its scheme or host/);
  assert.match(bad({ url: "https://user:secret@example.com/" }), /holds a user or a password/);
  assert.match(bad({ sign: { type: "standard", secret: "whsec_short" } }), /no signing secret/);
  assert.match(bad({ headers: { "X-A": "a\r\nb: c" } }), /header can't carry/);
  assert.match(bad({ headers: { Host: "evil" } }), /HTTP itself writes/);
  assert.match(bad({ headers: { "Leat-Hops": "0" } }), /Leat writes/);
  assert.match(bad({ auth: { type: "bearer", token: "secret\n" } }), /header can't carry/);
  assert.match(bad({ auth: { type: "basic", user: "a:b", password: "x" } }), /colon/);
  assert.match(bad({ tls: { cert: "x" } }), /only one of cert and key/);
  assert.match(bad({ addresses: { deny: "10.0.0.0/33" } }), /\w/);
});
