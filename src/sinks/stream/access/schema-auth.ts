/** `auth:` and `judge:` of a stream, as the YAML has them. */
import { createPublicKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { duration, flag, object, oneOf, oneOrList, secrets, text } from "../../../config/fields.ts";
import { addresses, headerFields, tls } from "../../webhook/config.ts";
import { mayForward } from "../../webhook/headers.ts";
import { keyTypeOf, typeOfKey } from "./keys.ts";

const none = object({ type: z.literal("none").describe("anyone may read") });

const query = () =>
  flag()
    .default(false)
    .describe(
      "also take the token as `?access_token=`; a browser's EventSource can set no headers, but URLs end up in logs: a ticket is better",
    );

const bearer = object({
  type: z.literal("bearer").describe("readers send `Authorization: Bearer <token>`"),
  token: secrets().describe("the token, or a list of live ones"),
  query: query(),
});

/** RFC 6265, 4.1.1. */
const cookieName = () =>
  text().refine((name) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name), {
    message: "is no name of a cookie",
    params: { remedy: "write it as the browser shows it, such as __Host-session" },
  });

/** Ours to call: no template, no password in it. */
const ownUrl = () =>
  text().superRefine((written, context) => {
    const url = URL.parse(written);
    const problem = (message: string, remedy: string) =>
      context.addIssue({ code: "custom", message, params: { remedy } });
    if (written.includes("{{")) problem("holds a template", "write one address: no reader picks a host");
    else if (url === null || !/^https?:$/.test(url.protocol)) {
      problem("is not an http or https URL", "such as https://id.example.com/keys");
    } else if (url.username !== "" || url.password !== "") {
      problem("holds a user or a password", "send a secret in a header instead");
    }
  });

const ALGORITHMS = [
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

const keySet = object({
  url: ownUrl().describe("where the keys are (JWKS)"),
  refresh: duration()
    .refine((ms) => ms >= 1000, { message: "is too short", params: { remedy: "10m is usual" } })
    .prefault("10m")
    .describe(
      "how often they are fetched; also when a token names a key that isn't there, at most every 5 s",
    ),
  tls: tls.optional().describe("for an https endpoint with a certificate of its own"),
  addresses: addresses.optional().describe("addresses that must not be connected to"),
});

const jwt = object({
  type: z.literal("jwt").describe("signed tokens (RFC 7519)"),
  secret: secrets()
    .optional()
    .describe(
      "the shared secret of HS256, HS384, HS512, of at least 32 bytes; a list while it is being replaced",
    ),
  public_key: oneOrList(text())
    .optional()
    .describe(`a public key (PEM), such as \${file:/etc/leat/jwt.pem}; a list while it is being replaced`),
  jwks: z
    .union([ownUrl().transform((url) => keySet.parse({ url })), keySet])
    .optional()
    .describe("where public keys are fetched from (JWKS): a URL, or a map"),
  algorithms: z
    .array(oneOf(ALGORITHMS))
    .min(1)
    .describe("which signatures are taken; has no default, since a token must not choose"),
  audience: oneOrList(text()).describe(
    "who a token must be for (`aud`); has no default: a token for another service is none for this one",
  ),
  issuer: oneOrList(text()).optional().describe("who must have issued it (`iss`)"),
  cookie: cookieName().optional().describe("a cookie that holds the token; a page's `origins` are checked"),
  query: query(),
  user: text().default("sub").describe("the claim that names the user"),
  tolerance: duration()
    .refine((ms) => ms <= 300_000, { message: "is too long", params: { remedy: "5m at most: 10s is usual" } })
    .prefault("10s")
    .describe("how far clocks may be apart for `exp` and `nbf`"),
}).superRefine((it, context) => {
  for (const { path, message, remedy } of keyProblems(it)) {
    context.addIssue({ code: "custom", path, message, params: { remedy } });
  }
});

interface Problem {
  readonly path: string[];
  readonly message: string;
  readonly remedy: string;
}

/** HS256's own length (RFC 7518, 3.2): a shorter secret is found by trying, from one token. */
const LEAST_SECRET = 32;

function* keyProblems(it: {
  readonly secret?: readonly string[] | undefined;
  readonly public_key?: readonly string[] | undefined;
  readonly jwks?: unknown;
  readonly algorithms: readonly string[];
}): Iterable<Problem> {
  const given = (["secret", "public_key", "jwks"] as const).filter((key) => it[key] !== undefined);
  if (given.length !== 1) {
    const message = given.length === 0 ? "has no key" : `has ${given.join(" and ")}`;
    yield { path: [], message, remedy: "give one of secret, public_key, jwks" };
    return;
  }
  if (it.secret?.some((secret) => Buffer.byteLength(secret) < LEAST_SECRET)) {
    const remedy = "make one of 32 bytes or more: openssl rand -base64 32";
    yield { path: ["secret"], message: "is too short to be safe", remedy };
  }
  const keys = (it.public_key ?? []).map(publicKey);
  for (const key of keys)
    if (typeof key === "string") yield { path: ["public_key"], ...KEY_REMEDY, message: key };
  const fits = (algorithm: string) => {
    const type = keyTypeOf(algorithm);
    if (it.secret !== undefined) return type === "secret";
    if (it.jwks !== undefined) return type !== "secret";
    return keys.some((key) => typeof key !== "string" && typeOfKey(key) === type);
  };
  const other = it.algorithms.find((algorithm) => !fits(algorithm));
  if (other === undefined || keys.some((key) => typeof key === "string")) return;
  const message = `${other} can't be checked with ${given[0]}`;
  const remedy = "HS… goes with secret; RS…, PS…, ES… and Ed… with a public key of that kind, or jwks";
  yield { path: ["algorithms"], message, remedy };
}

const KEY_REMEDY = { remedy: "give it as PEM, from -----BEGIN PUBLIC KEY----- on" };

/** The key, or what is wrong with it. */
function publicKey(pem: string): KeyObject | string {
  if (/PRIVATE KEY/.test(pem)) return "is a private key";
  try {
    const key = createPublicKey(pem);
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 2048;
    return bits < 2048 ? "is an RSA key of less than 2048 bits" : key;
  } catch {
    return "is no public key that can be read";
  }
}

const forwarded = z.array(
  text().refine((name) => mayForward(name.toLowerCase()), {
    message: "is no header that is passed on",
    params: { remedy: "name those by which the endpoint knows a reader: cookie, authorization" },
  }),
);

const judgeFields = {
  url: ownUrl().describe("where it is asked, by POST"),
  forward_headers: forwarded
    .default(["cookie", "authorization"])
    .describe("headers of the reader's request that it is given"),
  headers: headerFields.default({}).describe("headers to send with every request, as they stand"),
  timeout: duration().prefault("5s").describe("for its answer; without one, readers are to come back"),
  max_cache: duration()
    .prefault("5m")
    .describe("an answer is kept as long as its `Cache-Control: max-age` says, and no longer than this"),
  refresh: duration()
    .refine((ms) => ms >= 1000, { message: "is too short", params: { remedy: "5m is usual" } })
    .prefault("5m")
    .describe("a connected reader is asked about again after this, or up to half of it sooner"),
  grace: duration()
    .prefault("15m")
    .describe("how long a connected reader stays while the endpoint doesn't answer; then it is to come back"),
  asks: z
    .array(oneOf(["subscribe", "publish"]))
    .default([])
    .describe(
      "what else it is asked about, beside letting a reader in: each channel joined, each message (websocket)",
    ),
  tls: tls.optional().describe("for an https endpoint with a certificate of its own"),
  addresses: addresses.optional().describe("addresses that must not be connected to"),
};

export const judge = object(judgeFields);

const http = object({
  type: z.literal("http").describe("an endpoint of yours says who may read"),
  ...judgeFields,
  cookie: cookieName().optional().describe("a cookie to send it as `Authorization: Bearer`"),
  query: query(),
});

export const auth = z.discriminatedUnion("type", [none, bearer, jwt, http]);

export type AuthConfig = z.output<typeof auth>;
export type JwtConfig = z.output<typeof jwt>;
export type JudgeConfig = z.output<typeof judge>;
