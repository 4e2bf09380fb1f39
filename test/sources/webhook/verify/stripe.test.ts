import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import Stripe from "stripe";
import {
  parseStripeSignature,
  stripeSchema,
  stripeScheme,
} from "../../../../src/sources/webhook/verify/stripe.ts";
import { rawHeaders } from "./raw-headers.ts";

const SECRET = "whsec_of_the_endpoint";
const NOW = 1_700_000_000_000;
const BODY = Buffer.from('{"id":"evt_1","type":"payment_intent.succeeded","größe":"é"}');

const stripe = new Stripe("sk_test_none");
const scheme = stripeScheme(stripeSchema.parse({ type: "stripe", secret: [SECRET, "whsec_new"] }));

function signed(options: { secret?: string; at?: number; body?: Buffer }): string {
  return stripe.webhooks.generateTestHeaderString({
    payload: (options.body ?? BODY).toString(),
    secret: options.secret ?? SECRET,
    timestamp: (options.at ?? NOW) / 1000,
  });
}

function check(header: string, body = BODY) {
  return scheme.check(rawHeaders({ Host: "x", "Stripe-Signature": header }), body, NOW)?.reason ?? "ok";
}

test("takes what Stripe's own library signed, with either live secret", () => {
  assert.equal(check(signed({})), "ok");
  assert.equal(check(signed({ secret: "whsec_new" })), "ok");
});

test("takes a header with several v1, of which one is right, and ignores v0", () => {
  const right = signed({}).split("v1=")[1];
  assert.equal(check(`t=${NOW / 1000},v1=${"0".repeat(64)},v1=${right},v0=${"1".repeat(64)}`), "ok");
  assert.equal(check(`t=${NOW / 1000},v0=${right}`), "signature_malformed");
});

test("refuses an unknown secret, a changed body and a changed time stamp", () => {
  assert.equal(check(signed({ secret: "whsec_other" })), "signature_wrong");
  assert.equal(check(signed({}), Buffer.from(`${BODY} `)), "signature_wrong");
  assert.equal(check(signed({}).replace(`t=${NOW / 1000}`, `t=${NOW / 1000 - 1}`)), "signature_wrong");
});

test("refuses what is older than 5 minutes and takes what is from the future, as Stripe's library does", () => {
  assert.equal(check(signed({ at: NOW - 300_000 })), "ok");
  assert.equal(check(signed({ at: NOW - 301_000 })), "signature_stale");
  assert.equal(check(signed({ at: NOW + 3_600_000 })), "ok");
});

test("refuses what is no signature", () => {
  assert.equal(scheme.check(rawHeaders({ Host: "x" }), BODY, NOW)?.reason, "signature_missing");
  const digest = "a".repeat(64);
  for (const header of [
    "",
    "t=1",
    `v1=${digest}`,
    `t=,v1=${digest}`,
    `t=x,v1=${digest}`,
    `t=1,t=2,v1=${digest}`,
    "t=1,v1=zz",
    "t=1,v1=",
    `t=-1,v1=${digest}`,
    `t=1e9,v1=${digest}`,
    "=,=,=",
  ]) {
    assert.equal(check(header), "signature_malformed", header);
  }
});

test("names the event by the body's id and type", () => {
  const name = (body: string) => scheme.name([], Buffer.from(body));
  assert.deepEqual(scheme.name([], BODY), { id: "evt_1", type: "payment_intent.succeeded" });
  assert.deepEqual(name("not JSON"), { id: null, type: null });
  assert.deepEqual(name('{"id":7,"type":null}'), { id: null, type: null });
  assert.deepEqual(name('["id"]'), { id: null, type: null });
  assert.deepEqual(name('{"__proto__":{"id":"evt_2"}}'), { id: null, type: null });
  assert.deepEqual(name("null"), { id: null, type: null });
});

test("no header makes the parser throw or hang", () => {
  const piece = fc.oneof(
    fc.constantFrom("t=", "v1=", ",", "=", "a".repeat(64), "1700000000", " "),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 200 }), (pieces) => {
      const parsed = parseStripeSignature(pieces.join(""));
      assert.ok(parsed === null || parsed.digests.every((digest) => digest.length === 32));
    }),
    { numRuns: 2000 },
  );
  const begun = performance.now();
  assert.equal(parseStripeSignature("t=,".repeat(20_000)), null);
  assert.equal(parseStripeSignature(`t=1,${"v1=".repeat(20_000)}`), null);
  assert.ok(performance.now() - begun < 1000);
});
