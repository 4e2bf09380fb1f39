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
import { UNPACK_RATIO } from "./unpack.ts";
import { verifySchema } from "./verify/verify.ts";

const schema = object({
  path: endpointPath().describe("Where it listens, on `server.listen`. What lies below is the subject."),
  verify: verifySchema.describe(
    "How a sender proves who it is. There is no default: `none` must be written.",
  ),
  methods: oneOrList(oneOf(["POST", "PUT", "PATCH", "DELETE", "GET"]))
    .prefault("POST")
    .describe("The methods it takes."),
  status: integer(200, 299).default(200).describe("The status of a yes. Some senders insist on one."),
  max_body: size().optional().describe("The largest body, as it comes. Default: `limits.event`."),
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
      "The most it takes, such as `100/s`, which may come all at once; beyond it 429. Only who is verified uses it up. Default: no bound.",
    ),
});

export type WebhookConfig = z.output<typeof schema>;

export const webhookSource: SourceType<WebhookConfig> = {
  kind: "source",
  type: "webhook",
  description: "Webhooks that others post: verified, answered once they are on disk.",
  schema,
  create: (config, host): Source & HasEndpoint => new WebhookIntake(config, host),
};
