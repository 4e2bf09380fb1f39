import assert from "node:assert/strict";
import { test } from "node:test";
import { rawRequest } from "../daemon/request.ts";
import { postJson, startForTest } from "../daemon/running.ts";

const TOKEN = "a-token-that-is-long-enough";
const YAML = `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: stdout } }
routes: { all: { from: in, to: out } }
`;

const bearer = { authorization: `Bearer ${TOKEN}` };
const json = { "content-type": "application/json" };

interface Case {
  readonly what: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly status: number;
}

const WITH_TOKEN: readonly Case[] = [
  { what: "the API without a token", path: "/api/sinks", status: 401 },
  { what: "the API with it", path: "/api/sinks", headers: bearer, status: 200 },
  { what: "a wrong token", path: "/api/sinks", headers: { authorization: "Bearer nope" }, status: 401 },
  {
    what: "a token's beginning",
    path: "/api/sinks",
    headers: { authorization: "Bearer a-token" },
    status: 401,
  },
  { what: "another scheme", path: "/api/sinks", headers: { authorization: `Basic ${TOKEN}` }, status: 401 },
  {
    what: "a forged cookie",
    path: "/api/sinks",
    headers: { cookie: "leat_admin=9999999999.forged" },
    status: 401,
  },
  {
    what: "a cookie without a signature",
    path: "/api/sinks",
    headers: { cookie: "leat_admin=9999999999." },
    status: 401,
  },
  { what: "a foreign Host", path: "/api/sinks", headers: { ...bearer, host: "evil.example" }, status: 421 },
  {
    what: "a foreign Host that begins as ours",
    path: "/api/sinks",
    headers: { ...bearer, host: "localhost.evil.example" },
    status: 421,
  },
  {
    what: "a listed Host in capitals",
    path: "/api/sinks",
    headers: { ...bearer, host: "LEAT.internal" },
    status: 200,
  },
  { what: "/healthz from anywhere", path: "/healthz", headers: { host: "10.1.2.3:8081" }, status: 200 },
  { what: "/readyz from anywhere", path: "/readyz", headers: { host: "10.1.2.3:8081" }, status: 200 },
  { what: "/metrics from anywhere", path: "/metrics", headers: { host: "10.1.2.3:8081" }, status: 200 },
  { what: "the login page without a token", path: "/login", status: 200 },
  {
    what: "the login page under a foreign Host",
    path: "/login",
    headers: { host: "evil.example" },
    status: 421,
  },
  { what: "the page, asked for by a browser", path: "/", headers: { accept: "text/html" }, status: 303 },
  {
    what: "a form's content type",
    method: "POST",
    path: "/api/reload",
    headers: { ...bearer, "content-type": "application/x-www-form-urlencoded" },
    status: 415,
  },
  {
    what: "plain text, as a foreign page may send it",
    method: "POST",
    path: "/api/reload",
    headers: { ...bearer, "content-type": "text/plain" },
    status: 415,
  },
  { what: "no content type", method: "POST", path: "/api/reload", headers: bearer, status: 415 },
  {
    what: "a foreign Origin",
    method: "POST",
    path: "/api/reload",
    headers: { ...bearer, ...json, origin: "https://evil.example" },
    status: 403,
  },
  {
    what: "an Origin of null",
    method: "POST",
    path: "/api/reload",
    headers: { ...bearer, ...json, origin: "null" },
    status: 403,
  },
  { what: "a change without a token", method: "POST", path: "/api/reload", headers: json, status: 401 },
  {
    what: "a login from a foreign page",
    method: "POST",
    path: "/login",
    headers: { ...json, origin: "https://evil.example" },
    status: 403,
  },
  { what: "a probe by another method", method: "POST", path: "/metrics", status: 405 },
  { what: "an unknown path of the API", path: "/api/secrets", headers: bearer, status: 404 },
  {
    what: "an API path by another method",
    method: "DELETE",
    path: "/api/sinks",
    headers: { ...bearer, ...json },
    status: 405,
  },
];

test("the admin listener, with a token, lets in who may come in", async (t) => {
  const { admin } = await startForTest(t, YAML, {
    server: `admin_token: ${TOKEN}, admin_hosts: [leat.internal]`,
  });
  for (const { what, method = "GET", path, headers = {}, status } of WITH_TOKEN) {
    await t.test(`${what}: ${status}`, async () => {
      const answer = await rawRequest(admin + path, { method, headers });
      assert.equal(answer.status, status, answer.body);
      assert.ok(!answer.body.includes(TOKEN));
      if (status >= 400 && status !== 404) {
        const { error } = JSON.parse(answer.body) as { error: { code: string; message: string } };
        assert.match(error.code, /^[a-z_]+$/);
        assert.ok(error.message.length > 10);
      }
    });
  }
});

test("what the listener answers can't be framed, sniffed or made to run another's script", async (t) => {
  const { admin } = await startForTest(t, YAML);
  const { headers } = await rawRequest(`${admin}/api/sinks`);
  assert.match(String(headers["content-security-policy"]), /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(headers["x-content-type-options"], "nosniff");
  assert.equal(headers["referrer-policy"], "no-referrer");
});

test("on loopback without a token the API is open, but only to loopback's names", async (t) => {
  const { admin } = await startForTest(t, YAML);
  assert.equal((await rawRequest(`${admin}/api/sinks`)).status, 200);
  assert.equal((await rawRequest(`${admin}/api/sinks`, { headers: { host: "evil.example" } })).status, 421);
});

test("the login form gives a cookie that opens the API, and only for the right token", async (t) => {
  const { admin } = await startForTest(t, YAML, { server: `admin_token: ${TOKEN}` });
  const origin = { origin: admin };
  const wrong = await postJson(`${admin}/login`, { token: "wrong" }, origin);
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers.get("set-cookie"), null);

  const form = await rawRequest(`${admin}/login`, {
    method: "POST",
    headers: { ...origin, accept: "text/html", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ token: TOKEN }).toString(),
  });
  assert.equal(form.status, 303);
  assert.equal(form.headers.location, "/");
  const [setCookie = ""] = form.headers["set-cookie"] ?? [];
  assert.match(setCookie, /HttpOnly/);
  assert.match(setCookie, /SameSite=Strict/);
  assert.ok(!setCookie.includes(TOKEN));

  const cookie = setCookie.split(";")[0] ?? "";
  assert.equal((await rawRequest(`${admin}/api/sinks`, { headers: { cookie } })).status, 200);
  const reload = await rawRequest(`${admin}/api/reload`, {
    method: "POST",
    headers: { ...json, ...origin, cookie },
    body: "{}",
  });
  assert.equal(reload.status, 200, reload.body);
  const stretched = cookie.replace(/=(\d+)/, "=9$1");
  assert.equal((await rawRequest(`${admin}/api/sinks`, { headers: { cookie: stretched } })).status, 401);
});

test("after ten wrong tokens an address's further guesses have to wait, and the right token still opens", async (t) => {
  const { admin } = await startForTest(t, YAML, { server: `admin_token: ${TOKEN}` });
  for (let n = 0; n < 10; n++) {
    assert.equal((await postJson(`${admin}/login`, { token: `guess ${n}` })).status, 401);
  }
  const eleventh = await postJson(`${admin}/login`, { token: "guess 10" });
  assert.equal(eleventh.status, 429);
  assert.ok(Number(eleventh.headers.get("retry-after")) > 0);
  const guess = { authorization: "Bearer guess" };
  assert.equal((await rawRequest(`${admin}/api/sinks`, { headers: guess })).status, 429);

  assert.equal((await rawRequest(`${admin}/api/sinks`, { headers: bearer })).status, 200);
  const login = await postJson(`${admin}/login`, { token: TOKEN });
  assert.notEqual(login.headers.get("set-cookie"), null);
  assert.equal((await rawRequest(`${admin}/healthz`)).status, 200);
});

test("a login larger than any token is refused", async (t) => {
  const { admin } = await startForTest(t, YAML, { server: `admin_token: ${TOKEN}` });
  const answer = await postJson(`${admin}/login`, { token: "x".repeat(100_000) });
  assert.equal(answer.status, 413);
});
