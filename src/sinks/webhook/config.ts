/** What a `webhook` sink takes in the YAML. */
import { z } from "zod";
import { tlsProblems } from "../../brokers/tls-material.ts";
import {
  flag,
  httpUrl,
  object,
  oneOf,
  oneOrList,
  secret,
  secrets,
  template,
  text,
} from "../../config/fields.ts";
import { parseCidr } from "./addresses.ts";
import { headerProblem, isHeaderValue } from "./headers.ts";
import { standardKey } from "./sign.ts";

const basic = object({
  type: z.literal("basic").describe("HTTP Basic (RFC 7617)."),
  user: text().describe("The user's name."),
  password: secret().describe("The password."),
}).refine((auth) => !auth.user.includes(":"), {
  message: "holds a colon",
  path: ["user"],
  params: { remedy: "HTTP Basic ends the user's name at the first colon" },
});

const bearer = object({
  type: z.literal("bearer").describe("A token in `authorization: Bearer …` (RFC 6750)."),
  token: secret().describe("The token."),
}).refine((auth) => isHeaderValue(auth.token), {
  message: "holds characters that a header can't carry",
  path: ["token"],
  params: { remedy: "take the token alone, without a line's end" },
});

/** On the field, not on the whole of `sign`: that is also looked at where this one hasn't become a list. */
const signingSecrets = secrets().superRefine((list, context) => {
  list.forEach((one, index) => {
    if (standardKey(one) !== null) return;
    context.addIssue({
      code: "custom",
      path: list.length > 1 ? [index] : [],
      message: "is no signing secret",
      params: {
        remedy: "write whsec_ and 24 to 64 random bytes in base64, such as openssl rand -base64 32 makes",
      },
    });
  });
});

const standard = object({
  type: z.literal("standard").describe("Standard Webhooks 1.0.0, HMAC-SHA256 (`v1`)."),
  secret: signingSecrets.describe(
    "`whsec_` and 24 to 64 bytes in base64; while a secret is being rotated a list, and each of them signs.",
  ),
});

export const tls = object({
  ca: text().optional().describe("Certificates (PEM) to trust instead of the system's."),
  cert: text().optional().describe("Our own certificate (PEM), where the receiver asks for one."),
  key: secret().optional().describe("Its private key (PEM)."),
  servername: text()
    .optional()
    .describe("The name to expect in the receiver's certificate, if not the URL's host."),
  insecure: flag().default(false).describe("Accept any certificate. For tests only."),
})
  .refine((it) => (it.cert === undefined) === (it.key === undefined), {
    message: "has only one of cert and key",
    params: { remedy: "give both or none" },
  })
  .superRefine((it, context) => {
    for (const { field, message, remedy } of tlsProblems(it)) {
      context.addIssue({ code: "custom", path: [field], message, params: { remedy } });
    }
  });

export const network = () =>
  text().refine((written) => parseCidr(written) !== null, {
    message: "is no network",
    params: { remedy: "write it as 10.0.0.0/8 or fd00::/8, or a single address" },
  });

export const addresses = object({
  deny: z
    .union([z.literal("private"), oneOrList(network())])
    .describe("`private` (every range that isn't the public internet), or a list of networks."),
  allow: oneOrList(network()).optional().describe("Networks that are fine although `deny` covers them."),
});

export const headerFields = z.record(z.string(), z.string()).superRefine((headers, context) => {
  for (const [name, value] of Object.entries(headers)) {
    const problem = headerProblem(name, value);
    if (problem === null) continue;
    context.addIssue({
      code: "custom",
      path: [name],
      message: problem,
      params: { remedy: "choose another header" },
    });
  }
});

export const webhookSchema = object({
  url: httpUrl()
    .refine((url) => !/^[^/]*:\/\/[^/?#]*@/.test(url), {
      message: "holds a user or a password",
      params: { remedy: "write them under auth: { type: basic, user, password }" },
    })
    .describe("Where to send. The path and the query may hold templates, scheme and host never."),
  path: template()
    .optional()
    .describe("Appended to the URL's path; what a template puts in stays within its segment."),
  query: template().optional().describe("Appended to the URL's query: `a=1&b={{ key }}`."),
  method: oneOf(["POST", "PUT", "PATCH", "DELETE"]).default("POST").describe("The HTTP method."),
  headers: headerFields.default({}).describe("Headers to send with every request, as they stand."),
  forward_headers: z
    .array(text())
    .default([])
    .describe(
      "Names of the event's own headers to pass on. Only `content-type` is passed on unless listed here.",
    ),
  reply: flag()
    .default(false)
    .describe("The receiver's 2xx answer becomes an event, from a source with this sink's name."),
  sign: z.discriminatedUnion("type", [standard]).optional().describe("Signs each request."),
  auth: z.discriminatedUnion("type", [basic, bearer]).optional().describe("Credentials to send."),
  tls: tls.optional().describe("For https receivers with certificates of their own."),
  addresses: addresses
    .optional()
    .describe("Addresses that must not be connected to. Unset, every address is fine."),
});

export type WebhookConfig = z.output<typeof webhookSchema>;
export type TlsConfig = NonNullable<WebhookConfig["tls"]>;
export type AddressesConfig = NonNullable<WebhookConfig["addresses"]>;
