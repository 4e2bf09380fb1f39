/**
 * Standard Webhooks 1.0.0 signatures, symmetric (`v1`): base64 of HMAC-SHA256 over `id.timestamp.body`, one for each
 * live secret, space-separated. It is the bytes of the body that are signed, never a text made of them.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";

const PREFIX = "whsec_";
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * The key in `whsec_<base64>` (the prefix may be left out, as Svix allows); null when it isn't 24 to 64 bytes. As a key
 * object, since a digest takes five times as long when it is given bytes.
 */
export function standardKey(secret: string): KeyObject | null {
  const encoded = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  if (!BASE64.test(encoded)) return null;
  const key = Buffer.from(encoded, "base64");
  return key.length >= 24 && key.length <= 64 ? createSecretKey(key) : null;
}

/** The value of `webhook-signature`. `timestamp` is in seconds since 1970. */
export function standardSignature(
  keys: readonly KeyObject[],
  id: string,
  timestamp: number,
  body: Uint8Array,
): string {
  const prefix = `${id}.${timestamp}.`;
  let value = "";
  for (const key of keys) {
    const digest = createHmac("sha256", key).update(prefix).update(body).digest("base64");
    value += value === "" ? `v1,${digest}` : ` v1,${digest}`;
  }
  return value;
}
