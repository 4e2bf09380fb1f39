/**
 * Signs a request as each sender does. Written from the senders' side and on its own, so that it and the code that
 * verifies can't be wrong in the same way; the facts and their sources are told there (`sources/webhook/verify/`).
 */
import { createHmac } from "node:crypto";

export const SENDERS = ["stripe", "github", "shopify", "standard"] as const;

export type Sender = (typeof SENDERS)[number];

export interface ToSign {
  readonly body: Uint8Array;
  readonly secret: string;
  /** For the senders that name their events in headers. */
  readonly id: string;
  readonly type: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export type SignedHeaders = Readonly<Record<string, string>>;

export function sign(sender: Sender, request: ToSign): SignedHeaders {
  return SIGN[sender](request);
}

const SIGN: Record<Sender, (request: ToSign) => SignedHeaders> = {
  stripe({ body, secret, now }) {
    const timestamp = seconds(now);
    const digest = createHmac("sha256", secret).update(`${timestamp}.`).update(body).digest("hex");
    return {
      "stripe-signature": `t=${timestamp},v1=${digest}`,
      "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
    };
  },
  github({ body, secret, id, type }) {
    return {
      "x-github-delivery": id,
      "x-github-event": type,
      "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
      "user-agent": "GitHub-Hookshot/leat-send",
    };
  },
  shopify({ body, secret, id, type }) {
    return {
      "x-shopify-webhook-id": id,
      "x-shopify-topic": type,
      "x-shopify-shop-domain": "example.myshopify.com",
      "x-shopify-hmac-sha256": createHmac("sha256", secret).update(body).digest("base64"),
      "user-agent": "Shopify-Captain-Hook",
    };
  },
  standard({ body, secret, id, now }) {
    const timestamp = seconds(now);
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const digest = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
    return {
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": `v1,${digest}`,
      "user-agent": "leat-send",
    };
  },
};

function seconds(ms: number): string {
  return String(Math.floor(ms / 1000));
}
