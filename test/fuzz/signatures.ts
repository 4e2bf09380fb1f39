/** Every way of verifying a webhook: what a stranger may send, and what a sender signed, with and without slips. */
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { unpackHeaders } from "../../src/event.ts";
import { packKept, readHeaders } from "../../src/sources/webhook/headers.ts";
import { parseStandardSignatures } from "../../src/sources/webhook/verify/standard.ts";
import { parseStripeSignature } from "../../src/sources/webhook/verify/stripe.ts";
import { createScheme, verifySchema } from "../../src/sources/webhook/verify/verify.ts";
import { property } from "./property.ts";
import { longText, soup } from "./texts.ts";

const NOW = 1_795_224_065_810;
const SECONDS = String(Math.floor(NOW / 1000));
const SECRET = "a-secret-that-both-ends-know";
const WHSEC = `whsec_${randomBytes(32).toString("base64")}`;
const WHPK = `whpk_${randomBytes(32).toString("base64")}`;

const hmac = (key: string | Buffer, text: string | Uint8Array, encoding: "hex" | "base64" = "hex") =>
  createHmac("sha256", key).update(text).digest(encoding);
const joined = (prefix: string, body: Uint8Array) => Buffer.concat([Buffer.from(prefix), body]);

interface Way {
  readonly config: object;
  /** The headers with which a sender proves a body. */
  readonly sign: (body: Uint8Array) => [name: string, value: string][];
}

const WAYS: Readonly<Record<string, Way>> = {
  stripe: {
    config: { type: "stripe", secret: SECRET },
    sign: (body) => [["Stripe-Signature", `t=${SECONDS},v1=${hmac(SECRET, joined(`${SECONDS}.`, body))}`]],
  },
  github: {
    config: { type: "github", secret: [SECRET, "older"] },
    sign: (body) => [["X-Hub-Signature-256", `sha256=${hmac(SECRET, body)}`]],
  },
  shopify: {
    config: { type: "shopify", secret: SECRET },
    sign: (body) => [["X-Shopify-Hmac-SHA256", hmac(SECRET, body, "base64")]],
  },
  standard: {
    config: { type: "standard", secret: [WHSEC, WHPK] },
    sign: (body) => {
      const key = Buffer.from(WHSEC.slice("whsec_".length), "base64");
      return [
        ["webhook-id", "msg_1"],
        ["webhook-timestamp", SECONDS],
        ["webhook-signature", `v1,${hmac(key, joined(`msg_1.${SECONDS}.`, body), "base64")}`],
      ];
    },
  },
  hmac: {
    config: {
      type: "hmac",
      secret: SECRET,
      header: "X-Slack-Signature",
      prefix: "v0=",
      signed: "v0:{timestamp}:{body}",
      timestamp_header: "X-Slack-Request-Timestamp",
    },
    sign: (body) => [
      ["X-Slack-Request-Timestamp", SECONDS],
      ["X-Slack-Signature", `v0=${hmac(SECRET, joined(`v0:${SECONDS}:`, body))}`],
    ],
  },
  basic: {
    config: { type: "basic", user: "u", password: SECRET },
    sign: () => [["Authorization", `Basic ${Buffer.from(`u:${SECRET}`).toString("base64")}`]],
  },
  bearer: {
    config: { type: "bearer", token: SECRET },
    sign: () => [["Authorization", `Bearer ${SECRET}`]],
  },
  api_key: {
    config: { type: "api_key", header: "X-Gitlab-Token", key: SECRET },
    sign: () => [["X-Gitlab-Token", SECRET]],
  },
};

const schemes = Object.entries(WAYS).map(([name, way]) => ({
  name,
  ...way,
  scheme: createScheme(verifySchema.parse(way.config)),
}));
const anyScheme = fc.constantFrom(...schemes);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.json().map((text) => Buffer.from(text)),
);

/** As Node's parser hands them out: latin1. */
const latin1 = (text: string) => Buffer.from(text).toString("latin1");
const names = [
  "stripe-signature",
  "x-hub-signature-256",
  "x-shopify-hmac-sha256",
  "webhook-id",
  "webhook-timestamp",
  "webhook-signature",
  "svix-signature",
  "x-slack-signature",
  "x-slack-request-timestamp",
  "authorization",
  "x-gitlab-token",
  "connection",
  "content-encoding",
  "content-length",
  "leat-hops",
  "X-Other",
];
const value = fc
  .oneof(
    longText,
    soup(
      [
        "t=",
        "v1=",
        "v1,",
        "v1a,",
        "v0=",
        "sha256=",
        ",",
        " ",
        "=",
        SECONDS,
        "0",
        "00ff",
        "AA==",
        "Basic ",
        "Bearer ",
        "a:b",
        "-",
        "_",
      ],
      12,
    ),
  )
  .map(latin1);
const strangersHeaders = fc
  .array(fc.tuple(fc.constantFrom(...names), value), { maxLength: 12 })
  .map((pairs) => pairs.flat());

/** Changes one character of one value. */
const slip = fc.record({
  header: fc.nat(),
  at: fc.nat(),
  to: fc.constantFrom("0", "f", "A", "=", ",", " ", "\xff", ""),
});

export const signatures = [
  property(
    "what a stranger sends is never taken for a sender's, and never throws",
    fc.tuple(anyScheme, strangersHeaders, body),
    ([{ scheme }, headers, bytes], within) => {
      const fault = within(() => scheme.check(headers, bytes, NOW));
      assert.ok(fault !== null);
      assert.ok(!fault.detail.includes(SECRET));
      within(() => scheme.name(headers, bytes));
    },
  ),

  property(
    "what a sender signed is taken, and with any slip it isn't",
    fc.tuple(anyScheme, body, slip),
    ([{ scheme, sign, name }, bytes, { header, at, to }], within) => {
      const signed = sign(bytes);
      assert.equal(
        within(() => scheme.check(signed.flat(), bytes, NOW)),
        null,
      );

      const [changedName, changed] = signed[header % signed.length] as [string, string];
      const place = at % changed.length;
      const slipped = changed.slice(0, place) + to + changed.slice(place + 1);
      const headers = signed.flatMap(([one, text]) => [one, one === changedName ? slipped : text]);
      const fault = within(() => scheme.check(headers, bytes, NOW));
      if (!meansTheSame(name, changed, slipped))
        assert.ok(fault !== null, `${changed} and ${slipped} both pass`);

      if (scheme.beforeBody || bytes.length === 0) return;
      const other = Uint8Array.from(bytes);
      other[at % other.length] = (other[at % other.length] as number) ^ 1;
      assert.ok(scheme.check(signed.flat(), other, NOW) !== null, "another body passes");
    },
  ),

  property("the parts of a signature are whole digests, or there are none", value, (written, within) => {
    for (const digest of within(() => parseStripeSignature(written))?.digests ?? [])
      assert.equal(digest.length, 32);
    const standard = within(() => parseStandardSignatures(written));
    for (const digest of standard?.v1 ?? []) assert.equal(digest.length, 32);
    for (const digest of standard?.v1a ?? []) assert.equal(digest.length, 64);
  }),

  property(
    "a request's headers are read, and those that are kept come back as they were",
    strangersHeaders,
    (headers, within) => {
      const read = within(() => readHeaders(headers, ["x-gitlab-token"]));
      assert.ok(Number.isSafeInteger(read.hops) && read.hops >= 0);
      const unpacked = within(() => unpackHeaders(packKept(read, false)));
      assert.deepEqual(
        unpacked.map(([name, bytes]) => [name, Buffer.from(bytes).toString("latin1")]),
        read.kept,
      );
      assert.ok(
        read.kept.every(([name]) => !["authorization", "x-gitlab-token"].includes(name.toLowerCase())),
      );
    },
  ),
];

/** Spellings that mean one thing: hexadecimal digits of either case, spaces around, what base64 says twice. */
function meansTheSame(way: string, one: string, other: string): boolean {
  if (one === other) return true;
  const hex = (text: string) => text.toLowerCase().replace(/\s/g, "");
  if (["stripe", "github", "hmac"].includes(way)) return hex(one) === hex(other);
  // Decoders skip over what isn't base64: where it stands for padding, the bytes are the same.
  const base64 = (text: string) => {
    const [, label = "", encoded = ""] = /^(v1,|basic +)?([\s\S]*)$/i.exec(text) ?? [];
    return label.trim().toLowerCase() + Buffer.from(encoded, "base64").toString("hex");
  };
  if (["shopify", "standard", "basic"].includes(way)) return base64(one) === base64(other);
  const word = (text: string) => text.trim().replace(/^bearer\s+/i, "bearer ");
  return word(one) === word(other);
}
