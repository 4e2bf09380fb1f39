/** The webhook source: what somebody posts to a path of the public listener, once it is verified. */
import { z } from "zod";
import type { HasEndpoint, Source, SourceType } from "../../component.ts";
import {
  endpointPath,
  flag,
  integer,
  number,
  object,
  oneOf,
  oneOrList,
  rate,
  size,
} from "../../config/fields.ts";
import { WebhookIntake } from "./intake.ts";
import { provesFirst, streamSchema } from "./lines/config.ts";
import { UNPACK_RATIO } from "./unpack.ts";
import { verifySchema } from "./verify/verify.ts";

const fields = object({
  path: endpointPath().describe("Where it listens, on `server.listen`. What lies below is the subject."),
  verify: verifySchema.describe(
    "How a sender proves who it is. There is no default: `none` must be written.",
  ),
  methods: oneOrList(oneOf(["POST", "PUT", "PATCH", "DELETE", "GET"]))
    .prefault("POST")
    .describe("The methods it takes."),
  status: integer(200, 299).default(200).describe("The status of a yes. Some senders insist on one."),
  max_body: size()
    .optional()
    .describe("The largest body, as it comes. Default: `limits.event`; with `stream`: no bound."),
  decompress: z
    .union([
      flag(),
      object({
        max: size().optional().describe("The largest body when unpacked. Default: `max_body`."),
        ratio: number(1, 1032)
          .default(UNPACK_RATIO)
          .describe("How many times larger it may become, beyond its first 64 KiB."),
      }),
    ])
    .default(false)
    .describe("Whether bodies may be packed (gzip, deflate, br). They are stored unpacked. Off: 415."),
  rate: rate()
    .optional()
    .describe(
      "The most it takes, such as `100/s`, which may come all at once; beyond it 429. Only who is verified uses it up. With `stream` it counts lines, and slows down who sends them. Default: no bound.",
    ),
  stream: streamSchema
    .optional()
    .describe(
      "`lines`: each line of a body is an event, as it comes, with the request's id as its key. Needs `verify` to be bearer or basic.",
    ),
});

const schema = fields.superRefine(({ stream, verify }, context) => {
  if (stream === undefined || provesFirst(verify.type)) return;
  context.addIssue({
    code: "custom",
    path: ["verify"],
    message: "doesn't prove the sender before the body is whole, which stream: lines needs",
    params: { remedy: STREAM_REMEDY },
  });
});

const STREAM_REMEDY =
  "take verify: { type: bearer | basic }; for mutual TLS have the proxy that asks for the certificate add a bearer token";

export type WebhookConfig = z.output<typeof schema>;

export const webhookSource: SourceType<WebhookConfig> = {
  kind: "source",
  type: "webhook",
  description: "Webhooks that others post: verified, answered once they are on disk.",
  schema,
  create: (config, host): Source & HasEndpoint => new WebhookIntake(config, host),
};
