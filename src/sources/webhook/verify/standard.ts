/**
 * Standard Webhooks 1.0.0, and Svix, which has the same under its own header names: `webhook-id`,
 * `webhook-timestamp` (unix s) and `webhook-signature`, a list of `v1,<base64>` (HMAC-SHA256) and `v1a,<base64>`
 * (Ed25519) over `id.timestamp.body`. Source: github.com/standard-webhooks/standard-webhooks, spec.
 */
import { createHmac, createPublicKey, createSecretKey, type KeyObject, verify } from "node:crypto";
import { z } from "zod";
import { duration, object, oneOrList, secret } from "../../../config/fields.ts";
import {
  anyEqual,
  decodeDigest,
  fault,
  headerOf,
  nameOf,
  outsideWindow,
  parseJson,
  type RawHeaders,
  type Scheme,
  textField,
} from "./scheme.ts";

const SYMMETRIC = "whsec_";
const PUBLIC = "whpk_";

export const standardSchema = object({
  type: z
    .literal("standard")
    .describe("Standard Webhooks and Svix: `webhook-id` names the event, the body's `type` its type."),
  secret: oneOrList(
    secret().refine((written) => keyBytes(written) !== null, {
      error: "is not a Standard Webhooks secret",
      params: { remedy: "whsec_ or whpk_ and then base64, as the sender shows it" },
    }),
  ).describe("The endpoint's secret (`whsec_…`) or public key (`whpk_…`), or a list of live ones."),
  tolerance: duration().prefault("5m").describe("How old a signature may be, and how far in the future."),
});

/** An Ed25519 check costs 30 times an HMAC, so a header may not ask for any number of them. */
const MAX_SIGNATURES = 16;

const MISSING = fault("signature_missing", "no webhook-signature header (nor svix-signature)");
const MALFORMED_TIME = fault("signature_malformed", "webhook-timestamp is missing or no number of seconds");
const MALFORMED_ID = fault(
  "signature_malformed",
  "webhook-id is missing, or has a part that could be its time stamp",
);
const MALFORMED = fault("signature_malformed", "webhook-signature has no v1,<base64> or v1a,<base64>");
const WRONG = fault(
  "signature_wrong",
  "no signature in webhook-signature is the body's, by any of the secrets",
);

export function standardScheme(config: z.output<typeof standardSchema>): Scheme {
  const symmetric = config.secret
    .filter((written) => !written.startsWith(PUBLIC))
    .map((written) => createSecretKey(keyBytes(written) ?? Buffer.alloc(0)));
  const asymmetric = config.secret.filter((written) => written.startsWith(PUBLIC)).map(publicKey);
  return {
    secretHeaders: [],
    challenge: null,
    beforeBody: false,
    check(headers, wire, now) {
      const prefix = senderPrefix(headers);
      const written = headerOf(headers, `${prefix}signature`);
      if (written === undefined) return MISSING;
      const id = headerOf(headers, `${prefix}id`);
      if (id === undefined || !isUnambiguous(id)) return MALFORMED_ID;
      const timestamp = headerOf(headers, `${prefix}timestamp`);
      if (timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return MALFORMED_TIME;
      const signatures = parseStandardSignatures(written);
      if (signatures === null) return MALFORMED;
      const outside = outsideWindow(Number(timestamp) * 1000, now, config.tolerance);
      if (outside !== null) return outside;

      // A header's characters stand for bytes.
      const signed = Buffer.from(`${id}.${timestamp}.`, "latin1");
      for (const key of symmetric) {
        const expected = createHmac("sha256", key).update(signed).update(wire).digest();
        if (anyEqual(signatures.v1, expected)) return null;
      }
      if (asymmetric.length > 0 && signatures.v1a.length > 0) {
        const message = Buffer.concat([signed, wire]);
        for (const key of asymmetric) {
          if (signatures.v1a.some((signature) => verify(null, message, key, signature))) return null;
        }
      }
      return WRONG;
    },
    name(headers, body) {
      const id = nameOf(headers, `${senderPrefix(headers)}id`);
      return { id, type: textField(parseJson(body), "type") };
    },
  };
}

function senderPrefix(headers: RawHeaders): "webhook-" | "svix-" {
  return headerOf(headers, "webhook-signature") === undefined &&
    headerOf(headers, "svix-signature") !== undefined
    ? "svix-"
    : "webhook-";
}

/**
 * The specification forbids dots in an id, for what is signed is joined by them; senders have them all the same. An id
 * is taken when what was signed can be read in one way only: no part of it after a dot could be the time stamp.
 */
function isUnambiguous(id: string): boolean {
  return id !== "" && !/\.\d+(?:\.|$)/.test(id);
}

/** The signatures of the versions we know; null where there is none, or more than a sender could mean. */
export function parseStandardSignatures(written: string): { v1: Uint8Array[]; v1a: Uint8Array[] } | null {
  const v1: Uint8Array[] = [];
  const v1a: Uint8Array[] = [];
  for (const part of written.split(" ")) {
    const comma = part.indexOf(",");
    const version = part.slice(0, Math.max(comma, 0));
    const value = part.slice(comma + 1);
    const signature =
      version === "v1"
        ? decodeDigest(value, "base64", 32)
        : version === "v1a"
          ? decodeDigest(value, "base64", 64)
          : null;
    if (signature !== null) (version === "v1" ? v1 : v1a).push(signature);
  }
  const count = v1.length + v1a.length;
  return count === 0 || count > MAX_SIGNATURES ? null : { v1, v1a };
}

/** The bytes of a secret or public key as it is written; null where it can't be one. */
function keyBytes(written: string): Buffer | null {
  const isPublic = written.startsWith(PUBLIC);
  const base64 = isPublic
    ? written.slice(PUBLIC.length)
    : written.startsWith(SYMMETRIC)
      ? written.slice(SYMMETRIC.length)
      : written;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return null;
  const bytes = Buffer.from(base64, "base64");
  return bytes.length > 0 && (!isPublic || bytes.length === 32) ? bytes : null;
}

function publicKey(written: string): KeyObject {
  const x = (keyBytes(written) ?? Buffer.alloc(32)).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}
