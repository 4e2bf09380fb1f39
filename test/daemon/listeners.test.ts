/** What the listeners of a running daemon make of its `server` settings. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { test } from "node:test";
import { RawClient } from "../http/raw-client.ts";
import { waitFor } from "../wait-for.ts";
import { rawRequest } from "./request.ts";
import { startForTest } from "./running.ts";

const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: sse, path: /events, auth: { type: none } }
  safe: { type: sse, path: /safe, auth: { type: bearer, token: t0ken } }
routes: { all: { from: in, to: [live, safe] } }
`;

/** The status of a GET that a page of `host` could make once its name points at us. */
function statusAs(host: string, url: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers: { host, ...headers } }, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("on loopback a stream without auth answers to no foreign name, a webhook does: a tunnel ends here", async (t) => {
  const { url } = await startForTest(t, YAML);
  assert.equal(await statusAs("evil.example", `${url}/events`), 421);
  assert.equal(await statusAs("evil.example", `${url}/events`, { accept: "application/json" }), 421);
  assert.equal(await statusAs("localhost:8080", `${url}/events`), 200);
  assert.equal(await statusAs("evil.example", `${url}/safe`), 401);
  assert.equal(await statusAs("proxy.example", `${url}/safe`, { authorization: "Bearer t0ken" }), 200);
  const posted = await rawRequest(`${url}/in`, {
    method: "POST",
    headers: { host: "tunnel.example" },
    body: "{}",
  });
  assert.equal(posted.status, 200);
});

test("server.hosts names those that a stream without auth answers to", async (t) => {
  const { url } = await startForTest(t, YAML, { server: "hosts: [leat.example.com]" });
  assert.equal(await statusAs("leat.example.com", `${url}/events`), 200);
  assert.equal(await statusAs("evil.example", `${url}/events`), 421);
});

test("server.http bounds the public listener, and leaves the admin one a connection for probes", async (t) => {
  const server = "http: { connections: 1, headers_timeout: 200ms, header_bytes: 2KiB }";
  const { url, admin } = await startForTest(t, YAML, { server });
  const slow = await RawClient.open(url);
  t.after(() => slow.close());
  slow.send("GET /events HTTP/1.1\r\n");
  const further = await RawClient.open(url);
  t.after(() => further.close());
  await further.untilEnd();
  assert.deepEqual(further.statuses(), [], "over the bound");
  for (let probes = 0; probes < 2; probes++) {
    const probe = await RawClient.open(admin);
    t.after(() => probe.close());
    probe.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert.equal(await probe.status(), 200);
  }
  assert.equal(await slow.status(), 408, "after headers_timeout");
  await slow.untilEnd();
  const wide = await waitFor("a connection", async () => {
    const client = await RawClient.open(url);
    client.send(`GET /events HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(3000)}\r\n\r\n`);
    await waitFor("an answer or the end", () => client.ended || client.statuses().length > 0);
    return client.statuses().length > 0 ? client : null;
  });
  t.after(() => wide.close());
  assert.equal(await wide.status(), 431, "over header_bytes");
});
