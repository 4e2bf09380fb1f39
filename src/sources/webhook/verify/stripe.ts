/**
 * Stripe's signatures: `Stripe-Signature: t=<unix s>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 of `t.body` with the whole
 * `whsec_…` string as the key. Source: stripe-node, `Webhooks.ts`. As there, only old time stamps are refused, not
 * future ones, and `v0` (test mode's older scheme) is ignored.
 */
import { createHmac, createSecretKey } from "node:crypto";
import { z } from "zod";
import { duration, object, secrets } from "../../../config/fields.ts";
import {
  anyEqual,
  decodeDigest,
  fault,
  headerOf,
  outsideWindow,
  parseJson,
  type Scheme,
  textField,
} from "./scheme.ts";

export const stripeSchema = object({
  type: z
    .literal("stripe")
    .describe("Stripe: `Stripe-Signature`; the body's `id` and `type` name the event."),
  secret: secrets().describe("The endpoint's signing secret (`whsec_…`), or a list of live ones."),
  tolerance: duration().prefault("5m").describe("How old a signature may be."),
});

const MISSING = fault("signature_missing", "no Stripe-Signature header");
const MALFORMED = fault("signature_malformed", "Stripe-Signature is not t=<seconds>,v1=<64 hex digits>");
const WRONG = fault("signature_wrong", "no v1 of Stripe-Signature is the body's, by any of the secrets");

export function stripeScheme(config: z.output<typeof stripeSchema>): Scheme {
  const keys = config.secret.map((secret) => createSecretKey(secret, "utf8"));
  return {
    secretHeaders: [],
    challenge: null,
    beforeBody: false,
    check(headers, wire, now) {
      const written = headerOf(headers, "stripe-signature");
      if (written === undefined) return MISSING;
      const signature = parseStripeSignature(written);
      if (signature === null) return MALFORMED;
      const signed = `${signature.timestamp}.`;
      for (const key of keys) {
        if (!anyEqual(signature.digests, createHmac("sha256", key).update(signed).update(wire).digest()))
          continue;
        // As at Stripe's own libraries, a time stamp of the future is no fault.
        return outsideWindow(Math.min(Number(signature.timestamp) * 1000, now), now, config.tolerance);
      }
      return WRONG;
    },
    name(_headers, body) {
      const event = parseJson(body);
      return { id: textField(event, "id"), type: textField(event, "type") };
    },
  };
}

/** The parts of the header; null where there isn't exactly one `t`, or no `v1` that could be a digest. */
export function parseStripeSignature(written: string): { timestamp: string; digests: Uint8Array[] } | null {
  let timestamp: string | null = null;
  const digests: Uint8Array[] = [];
  for (const part of written.split(",")) {
    const at = part.indexOf("=");
    const key = part.slice(0, Math.max(at, 0)).trim();
    const value = part.slice(at + 1).trim();
    if (key === "t") {
      if (timestamp !== null || !/^\d{1,12}$/.test(value)) return null;
      timestamp = value;
    } else if (key === "v1") {
      const digest = decodeDigest(value, "hex", 32);
      if (digest !== null) digests.push(digest);
    }
  }
  return timestamp === null || digests.length === 0 ? null : { timestamp, digests };
}
