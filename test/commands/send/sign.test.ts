import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { verify } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { sample } from "../../../src/commands/send/samples.ts";
import { type Sender, sign } from "../../../src/commands/send/sign.ts";

const SECRET = `whsec_${Buffer.alloc(24, 3).toString("base64")}`;

function signed(sender: Sender) {
  const now = Date.now();
  const { id, type, body } = sample(sender, {}, now);
  return {
    id,
    type,
    body: Buffer.from(body),
    headers: sign(sender, { id, type, body, secret: SECRET, now }),
  };
}

test("stripe's own library takes it", () => {
  const { id, body, headers } = signed("stripe");
  const event = new Stripe("sk_test_none").webhooks.constructEvent(
    body,
    headers["stripe-signature"] ?? "",
    SECRET,
  );
  assert.equal(event.id, id);
  assert.equal(event.type, "payment_intent.succeeded");
});

test("Octokit takes it", async () => {
  const { body, headers } = signed("github");
  assert.ok(await verify(SECRET, body.toString(), headers["x-hub-signature-256"] ?? ""));
});

test("the library of Standard Webhooks takes it", () => {
  const { body, headers } = signed("standard");
  const payload = new Webhook(SECRET).verify(body.toString(), { ...headers }) as { type: string };
  assert.equal(payload.type, "invoice.paid");
});

test("Shopify's is the body's HMAC in base64, as its documentation has it", () => {
  const { body, headers, id } = signed("shopify");
  assert.equal(headers["x-shopify-hmac-sha256"], createHmac("sha256", SECRET).update(body).digest("base64"));
  assert.equal(headers["x-shopify-webhook-id"], id);
  assert.equal(headers["x-shopify-topic"], "orders/create");
});

test("samples have ids of their own, and take the names given", () => {
  assert.notEqual(signed("stripe").id, signed("stripe").id);
  const { body } = sample("stripe", { id: "evt_7", type: "charge.failed" }, 0);
  const { id, type } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
  assert.deepEqual([id, type], ["evt_7", "charge.failed"]);
});
