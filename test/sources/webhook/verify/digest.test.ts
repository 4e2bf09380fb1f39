import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { sign } from "@octokit/webhooks-methods";
import fc from "fast-check";
import {
  githubSchema,
  githubScheme,
  hmacSchema,
  hmacScheme,
  shopifySchema,
  shopifyScheme,
} from "../../../../src/sources/webhook/verify/digest.ts";
import { rawHeaders } from "./raw-headers.ts";

const NOW = 1_700_000_000_000;
const BODY = Buffer.from('{"größe":"é"}');

const github = githubScheme(githubSchema.parse({ type: "github", secret: ["old", "new"] }));

test("GitHub: takes the documentation's vector", () => {
  const scheme = githubScheme(githubSchema.parse({ type: "github", secret: "It's a Secret to Everybody" }));
  const headers = rawHeaders({
    "X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
  });
  assert.equal(scheme.check(headers, Buffer.from("Hello, World!"), NOW), null);
  assert.equal(scheme.check(headers, Buffer.from("Hello, World?"), NOW)?.reason, "signature_wrong");
});

test("GitHub: takes what Octokit signed, with either live secret, and nothing else", async () => {
  const check = async (secret: string) => {
    const headers = rawHeaders({ "x-hub-signature-256": await sign(secret, BODY.toString()) });
    return github.check(headers, BODY, NOW)?.reason ?? "ok";
  };
  assert.equal(await check("old"), "ok");
  assert.equal(await check("new"), "ok");
  assert.equal(await check("other"), "signature_wrong");
});

test("GitHub: refuses missing and malformed signatures", () => {
  const check = (headers: Record<string, string>) => github.check(rawHeaders(headers), BODY, NOW)?.reason;
  const hex = createHmac("sha256", "old").update(BODY).digest("hex");
  assert.equal(check({}), "signature_missing");
  // The older SHA-1 header alone isn't enough.
  assert.equal(check({ "x-hub-signature": `sha1=${"a".repeat(40)}` }), "signature_missing");
  for (const written of ["", hex, `sha1=${hex}`, "sha256=", `sha256=${hex}00`, `sha256=${hex.slice(2)}zz`]) {
    assert.equal(check({ "x-hub-signature-256": written }), "signature_malformed", written);
  }
  // Twice, as a proxy may join it: not one signature.
  const twice = ["x-hub-signature-256", `sha256=${hex}`, "X-Hub-Signature-256", `sha256=${hex}`];
  assert.equal(github.check(twice, BODY, NOW)?.reason, "signature_malformed");
});

test("GitHub and Shopify name the event by their headers", () => {
  const delivery = rawHeaders({ "X-GitHub-Delivery": "72d3162e", "X-GitHub-Event": "push" });
  assert.deepEqual(github.name(delivery, BODY), { id: "72d3162e", type: "push" });
  assert.deepEqual(github.name([], BODY), { id: null, type: null });
  const shopify = shopifyScheme(shopifySchema.parse({ type: "shopify", secret: "s" }));
  const order = rawHeaders({ "X-Shopify-Webhook-Id": "b54557e4", "X-Shopify-Topic": "orders/create" });
  assert.deepEqual(shopify.name(order, BODY), { id: "b54557e4", type: "orders/create" });
});

test("Shopify: takes base64 of the body's HMAC by any live secret", () => {
  const shopify = shopifyScheme(shopifySchema.parse({ type: "shopify", secret: ["a", "b"] }));
  const check = (secret: string) => {
    const digest = createHmac("sha256", secret).update(BODY).digest("base64");
    return shopify.check(rawHeaders({ "X-Shopify-Hmac-Sha256": digest }), BODY, NOW)?.reason ?? "ok";
  };
  assert.equal(check("b"), "ok");
  assert.equal(check("c"), "signature_wrong");
});

test("hmac: takes Slack's form, with its replay window", () => {
  const slack = hmacScheme(
    hmacSchema.parse({
      type: "hmac",
      secret: "8f742231b10e8888abcd99yyyzzz85a5",
      header: "X-Slack-Signature",
      prefix: "v0=",
      signed: "v0:{timestamp}:{body}",
      timestamp_header: "X-Slack-Request-Timestamp",
    }),
  );
  const check = (at: number | string) => {
    const hex = createHmac("sha256", "8f742231b10e8888abcd99yyyzzz85a5").update(`v0:${at}:`).update(BODY);
    const headers = {
      "x-slack-signature": `v0=${hex.digest("hex")}`,
      "x-slack-request-timestamp": String(at),
    };
    return slack.check(rawHeaders(headers), BODY, NOW)?.reason ?? "ok";
  };
  assert.equal(check(NOW / 1000), "ok");
  assert.equal(check(NOW / 1000 - 301), "signature_stale");
  assert.equal(check(NOW / 1000 + 301), "signature_future");
  assert.equal(check(NOW), "ok", "milliseconds");
  assert.equal(check("soon"), "signature_malformed");
  assert.equal(check(""), "signature_malformed");
});

test("hmac: algorithm, encoding, the key's own encoding and text around the body", () => {
  const vercel = hmacScheme(
    hmacSchema.parse({ type: "hmac", secret: "s", header: "x-vercel-signature", algorithm: "sha1" }),
  );
  const hex = createHmac("sha1", "s").update(BODY).digest("hex");
  assert.equal(vercel.check(rawHeaders({ "x-vercel-signature": hex }), BODY, NOW), null);

  const square = hmacScheme(
    hmacSchema.parse({
      type: "hmac",
      secret: "c2VjcmV0",
      secret_encoding: "base64",
      header: "x-square-hmacsha256-signature",
      encoding: "base64",
      signed: "https://example.com/hook{body}!",
      id_header: "X-Id",
      type_header: "X-Type",
    }),
  );
  const digest = createHmac("sha256", "secret").update("https://example.com/hook").update(BODY).update("!");
  const headers = rawHeaders({
    "x-square-hmacsha256-signature": digest.digest("base64"),
    "x-id": "7",
    "x-type": " ",
  });
  assert.equal(square.check(headers, BODY, NOW), null);
  assert.deepEqual(square.name(headers, BODY), { id: "7", type: null });
});

test("hmac: a configuration that would sign less than it seems is an error", () => {
  const base = { type: "hmac", secret: "s", header: "x-sig" };
  for (const wrong of [
    { signed: "{timestamp}" },
    { signed: "{body}{body}" },
    { signed: "{timestamp}.{body}" },
    { timestamp_header: "x-time" },
    { header: "x sig" },
  ]) {
    assert.equal(hmacSchema.safeParse({ ...base, ...wrong }).success, false, JSON.stringify(wrong));
  }
});

test("no signature header makes a check throw", () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom("", "sha256="), (written, prefix) => {
      assert.notEqual(github.check(["x-hub-signature-256", prefix + written], BODY, NOW), null);
    }),
  );
});
