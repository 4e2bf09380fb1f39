/**
 * A digest of the body in one header: GitHub, Shopify, and the generic `hmac`, which is how most other senders sign
 * (Slack: `{ header: x-slack-signature, prefix: v0=, signed: "v0:{timestamp}:{body}", timestamp_header:
 * x-slack-request-timestamp }`). Sources: github/docs (validating webhook deliveries), shopify.dev (HTTPS webhooks).
 */
import { createHmac, createSecretKey } from "node:crypto";
import { z } from "zod";
import { duration, object, oneOf, secrets, text } from "../../../config/fields.ts";
import {
  anyEqual,
  type DigestEncoding,
  decodeDigest,
  fault,
  headerOf,
  nameOf,
  outsideWindow,
  type RawHeaders,
  type Scheme,
} from "./scheme.ts";

const DIGEST_BYTES = { sha256: 32, sha1: 20, sha512: 64 } as const;

/** HTTP's token (RFC 9110, 5.6.2), in lower case for the code. */
export const headerName = () =>
  text()
    .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, { error: "is not the name of a header" })
    .transform((written) => written.toLowerCase());

export const githubSchema = object({
  type: z
    .literal("github")
    .describe("GitHub: `X-Hub-Signature-256`; `X-GitHub-Delivery` and `X-GitHub-Event` name the event."),
  secret: secrets().describe("The webhook's secret, or a list of live ones."),
});

export const shopifySchema = object({
  type: z
    .literal("shopify")
    .describe(
      "Shopify: `X-Shopify-Hmac-SHA256`; `X-Shopify-Webhook-Id` and `X-Shopify-Topic` name the event.",
    ),
  secret: secrets().describe("The app's client secret, or a list of live ones (Shopify lags by up to 1 h)."),
});

export const hmacSchema = object({
  type: z.literal("hmac").describe("Any HMAC of the body in a header, with or without a time stamp."),
  secret: secrets().describe("The secret, or a list of live ones."),
  secret_encoding: oneOf(["text", "base64", "hex"])
    .default("text")
    .describe("How the key's bytes are written in `secret`."),
  header: headerName().describe("The header that carries the signature."),
  prefix: text().optional().describe("What stands before the digest in the header, such as `sha256=`."),
  algorithm: oneOf(["sha256", "sha1", "sha512"]).default("sha256").describe("The hash of the HMAC."),
  encoding: oneOf(["hex", "base64", "base64url"]).default("hex").describe("How the digest is written."),
  signed: text()
    .prefault("{body}")
    .describe("What is signed: `{body}`, `{timestamp}` and literal text, such as `v0:{timestamp}:{body}`."),
  timestamp_header: headerName()
    .optional()
    .describe("The header that carries the time stamp, in seconds or milliseconds since 1970."),
  tolerance: duration()
    .prefault("5m")
    .describe("With a time stamp: how old a signature may be, and how far in the future."),
  id_header: headerName().optional().describe("The header that carries the event's id, if any."),
  type_header: headerName().optional().describe("The header that carries the event's type, if any."),
})
  .refine((config) => config.signed.split("{body}").length === 2, {
    path: ["signed"],
    error: "must have {body} once",
    params: { remedy: "what isn't signed could be anybody's" },
  })
  .refine((config) => config.signed.includes("{timestamp}") === (config.timestamp_header !== undefined), {
    path: ["signed"],
    error: "and timestamp_header go together",
    params: {
      remedy: "name the header of {timestamp}, or leave both out: an unsigned time stamp proves nothing",
    },
  });

/** Where a digest stands, of what, and what names the event. Header names in lower case. */
interface DigestPlan {
  readonly secrets: readonly Uint8Array[];
  readonly header: string;
  readonly prefix: string;
  readonly algorithm: keyof typeof DIGEST_BYTES;
  readonly encoding: DigestEncoding;
  /** What is signed before the body and after it; `{timestamp}` within. */
  readonly signed: readonly [before: string, after: string];
  readonly timestamp: { readonly header: string; readonly tolerance: number } | null;
  readonly idHeader: string | null;
  readonly typeHeader: string | null;
}

/** SHA-256 of the body alone, by a key that is written as text. */
const OF_BODY = { algorithm: "sha256", signed: ["", ""], timestamp: null } as const;

export function githubScheme(config: z.output<typeof githubSchema>): Scheme {
  return digestScheme({
    ...OF_BODY,
    secrets: keyBytes(config.secret, "utf8"),
    header: "x-hub-signature-256",
    prefix: "sha256=",
    encoding: "hex",
    idHeader: "x-github-delivery",
    typeHeader: "x-github-event",
  });
}

export function shopifyScheme(config: z.output<typeof shopifySchema>): Scheme {
  return digestScheme({
    ...OF_BODY,
    secrets: keyBytes(config.secret, "utf8"),
    header: "x-shopify-hmac-sha256",
    prefix: "",
    encoding: "base64",
    idHeader: "x-shopify-webhook-id",
    typeHeader: "x-shopify-topic",
  });
}

function keyBytes(secrets: readonly string[], encoding: BufferEncoding): Uint8Array[] {
  return secrets.map((secret) => Buffer.from(secret, encoding));
}

export function hmacScheme(config: z.output<typeof hmacSchema>): Scheme {
  const [before = "", after = ""] = config.signed.split("{body}");
  return digestScheme({
    secrets: keyBytes(config.secret, config.secret_encoding === "text" ? "utf8" : config.secret_encoding),
    header: config.header,
    prefix: config.prefix ?? "",
    algorithm: config.algorithm,
    encoding: config.encoding,
    signed: [before, after],
    timestamp:
      config.timestamp_header === undefined
        ? null
        : { header: config.timestamp_header, tolerance: config.tolerance },
    idHeader: config.id_header ?? null,
    typeHeader: config.type_header ?? null,
  });
}

function digestScheme(plan: DigestPlan): Scheme {
  const keys = plan.secrets.map((secret) => createSecretKey(secret));
  const bytes = DIGEST_BYTES[plan.algorithm];
  const missing = fault("signature_missing", `no ${plan.header} header`);
  const malformed = fault(
    "signature_malformed",
    `${plan.header} is not ${plan.prefix}<${bytes} bytes in ${plan.encoding}>`,
  );
  const malformedTime = fault(
    "signature_malformed",
    `${plan.timestamp?.header} is missing or no time in seconds or milliseconds`,
  );
  const wrong = fault("signature_wrong", `${plan.header} is not the body's, by any of the secrets`);
  return {
    secretHeaders: [],
    challenge: null,
    beforeBody: false,
    check(headers, wire, now) {
      const written = headerOf(headers, plan.header);
      if (written === undefined) return missing;
      if (!written.startsWith(plan.prefix)) return malformed;
      const given = decodeDigest(written.slice(plan.prefix.length), plan.encoding, bytes);
      if (given === null) return malformed;
      let timestamp = "";
      if (plan.timestamp !== null) {
        timestamp = headerOf(headers, plan.timestamp.header) ?? "";
        const signedAt = parseTimestamp(timestamp);
        if (signedAt === null) return malformedTime;
        const outside = outsideWindow(signedAt, now, plan.timestamp.tolerance);
        if (outside !== null) return outside;
      }
      const before = plan.signed[0].replaceAll("{timestamp}", timestamp);
      const after = plan.signed[1].replaceAll("{timestamp}", timestamp);
      for (const key of keys) {
        const hmac = createHmac(plan.algorithm, key);
        if (before !== "") hmac.update(before);
        hmac.update(wire);
        if (after !== "") hmac.update(after);
        if (anyEqual([given], hmac.digest())) return null;
      }
      return wrong;
    },
    name(headers: RawHeaders) {
      return { id: nameOf(headers, plan.idHeader), type: nameOf(headers, plan.typeHeader) };
    },
  };
}

/** Above this a number of seconds would lie in the year 5138, so it is one of milliseconds. */
const FIRST_MILLISECONDS = 1e11;

/** A header's time stamp in ms since 1970; null where it is none. */
function parseTimestamp(written: string): number | null {
  if (!/^\d{1,15}$/.test(written)) return null;
  const value = Number(written);
  return value < FIRST_MILLISECONDS ? value * 1000 : value;
}
