/** A sample of what each sender posts: the fields that routes are usually written against. */
import { randomUUID } from "node:crypto";
import type { Sender } from "./sign.ts";

export interface Sample {
  readonly id: string;
  readonly type: string;
  readonly body: Uint8Array;
}

/** What every sample has unless it is named: an id of its own, or it would be dropped as a duplicate of the last one. */
export interface Names {
  readonly id?: string | undefined;
  readonly type?: string | undefined;
}

export function newId(sender: Sender): string {
  const unique = randomUUID();
  if (sender === "stripe") return `evt_${unique.replaceAll("-", "").slice(0, 24)}`;
  return sender === "standard" ? `msg_${unique.replaceAll("-", "")}` : unique;
}

export const USUAL_TYPE: Record<Sender, string> = {
  stripe: "payment_intent.succeeded",
  github: "push",
  shopify: "orders/create",
  standard: "invoice.paid",
};

export function sample(sender: Sender, names: Names, now: number): Sample {
  const id = names.id ?? newId(sender);
  const type = names.type ?? USUAL_TYPE[sender];
  return { id, type, body: Buffer.from(JSON.stringify(BODY[sender]({ id, type, now }), null, 2)) };
}

interface Made {
  readonly id: string;
  readonly type: string;
  readonly now: number;
}

const BODY: Record<Sender, (made: Made) => object> = {
  stripe: ({ id, type, now }) => ({
    id,
    object: "event",
    api_version: "2025-03-31.basil",
    created: Math.floor(now / 1000),
    type,
    livemode: false,
    pending_webhooks: 1,
    request: { id: "req_sample", idempotency_key: null },
    data: {
      object: {
        id: "pi_sample",
        object: "payment_intent",
        amount: 2000,
        amount_received: 2000,
        currency: "eur",
        customer: "cus_sample",
        metadata: { user_id: "42" },
        status: "succeeded",
      },
    },
  }),
  github: () => ({
    ref: "refs/heads/main",
    before: "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    after: "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5",
    repository: { id: 1, name: "sample", full_name: "example/sample", private: false },
    pusher: { name: "ann", email: "ann@example.com" },
    commits: [{ id: "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", message: "A sample" }],
    sender: { id: 1, login: "ann" },
  }),
  shopify: ({ now }) => ({
    id: 4502345678,
    created_at: new Date(now).toISOString(),
    currency: "EUR",
    email: "ann@example.com",
    financial_status: "paid",
    total_price: "20.00",
    line_items: [{ id: 1, title: "A sample", quantity: 1, price: "20.00" }],
  }),
  standard: ({ type, now }) => ({
    type,
    timestamp: new Date(now).toISOString(),
    data: { id: "in_sample", amount: 2000, currency: "EUR", customer: "42" },
  }),
};
