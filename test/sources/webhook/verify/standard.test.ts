import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";
import {
  parseStandardSignatures,
  standardSchema,
  standardScheme,
} from "../../../../src/sources/webhook/verify/standard.ts";
import { rawHeaders } from "./raw-headers.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const NOW = 1_700_000_000_000;
const BODY = Buffer.from('{"type":"invoice.paid","größe":"é"}');

const scheme = standardScheme(standardSchema.parse({ type: "standard", secret: [SECOND, SECRET] }));

interface Sent {
  readonly secret?: string;
  readonly id?: string;
  readonly at?: number;
  readonly names?: "webhook" | "svix";
}

function send({ secret = SECRET, id = "msg_1", at = NOW, names = "webhook" }: Sent): string[] {
  const Library = names === "svix" ? SvixWebhook : StandardWebhook;
  return rawHeaders({
    [`${names}-id`]: id,
    [`${names}-timestamp`]: String(at / 1000),
    [`${names}-signature`]: new Library(secret).sign(id, new Date(at), BODY.toString()),
  });
}

function check(headers: string[], body = BODY, now = NOW) {
  return scheme.check(headers, body, now)?.reason ?? "ok";
}

test("takes the specification's vector", () => {
  const headers = rawHeaders({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
  assert.equal(check(headers, Buffer.from('{"test": 2432232314}'), 1_614_265_330_000), "ok");
});

test("takes what the libraries of Standard Webhooks and of Svix signed, with any live secret", () => {
  for (const names of ["webhook", "svix"] as const) {
    assert.equal(check(send({ names })), "ok");
    assert.equal(check(send({ names, secret: SECOND })), "ok");
    assert.equal(
      check(send({ names, secret: `whsec_${Buffer.alloc(24).toString("base64")}` })),
      "signature_wrong",
    );
    assert.equal(check(send({ names }), Buffer.from(`${BODY}\n`)), "signature_wrong");
  }
});

test("takes a list in which one signature is right", () => {
  const headers = send({});
  const right = headers.at(-1);
  headers[headers.length - 1] = `v1,${Buffer.alloc(32).toString("base64")} v2,x v1a,y ${right}`;
  assert.equal(check(headers), "ok");
});

test("takes Ed25519 signatures by a public key", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const asymmetric = standardScheme(
    standardSchema.parse({ type: "standard", secret: `whpk_${raw.toString("base64")}` }),
  );
  const message = Buffer.concat([Buffer.from(`msg_1.${NOW / 1000}.`), BODY]);
  const headers = rawHeaders({
    "webhook-id": "msg_1",
    "webhook-timestamp": String(NOW / 1000),
    "webhook-signature": `v1a,${sign(null, message, privateKey).toString("base64")}`,
  });
  assert.equal(asymmetric.check(headers, BODY, NOW), null);
  assert.equal(asymmetric.check(headers, Buffer.from("{}"), NOW)?.reason, "signature_wrong");
});

test("refuses what lies more than 5 minutes in the past or in the future", () => {
  assert.equal(check(send({ at: NOW - 300_000 })), "ok");
  assert.equal(check(send({ at: NOW - 301_000 })), "signature_stale");
  assert.equal(check(send({ at: NOW + 300_000 })), "ok");
  assert.equal(check(send({ at: NOW + 301_000 })), "signature_future");
});

test("refuses missing and malformed parts", () => {
  const without = (name: string) => {
    const headers = send({});
    headers.splice(headers.indexOf(name), 2);
    return check(headers);
  };
  assert.equal(without("webhook-signature"), "signature_missing");
  assert.equal(without("webhook-id"), "signature_malformed");
  assert.equal(without("webhook-timestamp"), "signature_malformed");
  const withSignature = (written: string) => [...send({}).slice(0, -1), written];
  for (const written of [
    "",
    "v1",
    "v1,",
    "v1,!!!!",
    "g0hM9SsE",
    "v1,YQ==",
    "v2,x",
    `${"v1,".repeat(1000)}`,
  ]) {
    assert.equal(check(withSignature(written)), "signature_malformed", written);
  }
  const flood = Array(17)
    .fill(`v1,${Buffer.alloc(32).toString("base64")}`)
    .join(" ");
  assert.equal(check(withSignature(flood)), "signature_malformed");
});

test("takes ids with dots, but none that could be read as another id and time stamp", () => {
  assert.equal(check(send({ id: "orders.v1-0-12" })), "ok");
  // Signed for `a`, shown as an id `a.<time stamp>`: the same bytes, another meaning.
  assert.equal(check(send({ id: `a.${NOW / 1000}` })), "signature_malformed");
  assert.equal(check(send({ id: "a.17.b" })), "signature_malformed");
});

test("names the event by webhook-id or svix-id and the body's type", () => {
  assert.deepEqual(scheme.name(send({}), BODY), { id: "msg_1", type: "invoice.paid" });
  assert.deepEqual(scheme.name(send({ names: "svix" }), Buffer.from("x")), { id: "msg_1", type: null });
});

test("a secret that can't be one is a configuration error that doesn't show it", () => {
  for (const secret of ["whsec_not base64!", "whpk_dG9vIHNob3J0", "whsec_?"]) {
    const result = standardSchema.safeParse({ type: "standard", secret });
    assert.equal(result.success, false);
    assert.ok(!JSON.stringify(result.error?.issues).includes(secret));
  }
});

test("no header makes the parser throw or hang", () => {
  const piece = fc.oneof(fc.constantFrom("v1,", "v1a,", " ", ",", "YWFh", "=".repeat(3)), fc.string());
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
      const parsed = parseStandardSignatures(pieces.join(""));
      assert.ok(parsed === null || parsed.v1.length + parsed.v1a.length > 0);
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (id, timestamp, signature) => {
      const raw = ["webhook-id", id, "webhook-timestamp", timestamp, "webhook-signature", signature];
      assert.notEqual(scheme.check(raw, BODY, NOW), null);
    }),
  );
});
