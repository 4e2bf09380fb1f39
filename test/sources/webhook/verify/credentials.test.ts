import assert from "node:assert/strict";
import { test } from "node:test";
import {
  apiKeySchema,
  apiKeyScheme,
  basicSchema,
  basicScheme,
  bearerSchema,
  bearerScheme,
} from "../../../../src/sources/webhook/verify/credentials.ts";
import type { Scheme } from "../../../../src/sources/webhook/verify/scheme.ts";
import { rawHeaders } from "./raw-headers.ts";

function check(scheme: Scheme, headers: Record<string, string>) {
  return scheme.check(rawHeaders(headers), new Uint8Array(0), 0)?.reason ?? "ok";
}

const basic64 = (text: string) => ({ Authorization: `Basic ${Buffer.from(text).toString("base64")}` });

test("basic: takes the user with any live password", () => {
  const scheme = basicScheme(basicSchema.parse({ type: "basic", user: "ann", password: ["o:ne", "zwö"] }));
  assert.equal(check(scheme, basic64("ann:o:ne")), "ok");
  assert.equal(check(scheme, basic64("ann:zwö")), "ok");
  for (const wrong of ["ann:", "ann", "", "bob:o:ne", "ann:o:ne ", "ANN:o:ne"]) {
    assert.equal(check(scheme, basic64(wrong)), "credentials", wrong);
  }
  assert.equal(check(scheme, {}), "credentials");
  assert.equal(check(scheme, { authorization: "Basic" }), "credentials");
  assert.equal(check(scheme, { authorization: "Basic ???" }), "credentials");
  assert.equal(check(scheme, { authorization: "Bearer o:ne" }), "credentials");
});

test("basic: a user with a colon is a configuration error", () => {
  assert.equal(basicSchema.safeParse({ type: "basic", user: "a:b", password: "p" }).success, false);
});

test("bearer: takes any live token", () => {
  const scheme = bearerScheme(bearerSchema.parse({ type: "bearer", token: ["one", "two"] }));
  assert.equal(check(scheme, { authorization: "Bearer one" }), "ok");
  assert.equal(check(scheme, { Authorization: "bearer two" }), "ok");
  for (const wrong of ["one", "Bearer", "Bearer ", "Bearer three", "Bearer one two", "Basic one"]) {
    assert.equal(check(scheme, { authorization: wrong }), "credentials", wrong);
  }
});

test("api_key: takes any live key in its header, and says that the header is secret", () => {
  const scheme = apiKeyScheme(apiKeySchema.parse({ type: "api_key", header: "X-Gitlab-Token", key: "k1" }));
  assert.equal(check(scheme, { "x-gitlab-token": "k1" }), "ok");
  assert.equal(check(scheme, { "x-gitlab-token": "k2" }), "credentials");
  assert.equal(check(scheme, { "x-gitlab-token": "" }), "credentials");
  assert.equal(check(scheme, {}), "credentials");
  assert.deepEqual(scheme.secretHeaders, ["x-gitlab-token"]);
});

test("a fault never holds what was shown or what would have been right", () => {
  const scheme = bearerScheme(bearerSchema.parse({ type: "bearer", token: "the-live-token" }));
  const fault = JSON.stringify(
    scheme.check(["authorization", "Bearer the-shown-token"], new Uint8Array(0), 0),
  );
  assert.ok(!fault.includes("the-live-token") && !fault.includes("the-shown-token"));
});
