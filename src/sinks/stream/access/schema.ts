/** Who may read, as the YAML says it: the fields that every stream has. */
import { z } from "zod";
import { duration, flag, integer, object, oneOrList, text } from "../../../config/fields.ts";
import { network } from "../../webhook/config.ts";
import { slowPolicy } from "../fields.ts";
import { templateProblem } from "./claims.ts";
import { auth, judge } from "./schema-auth.ts";

/** As a browser sends it: scheme, host, and the port where it isn't the scheme's own. */
const origin = text().refine((written) => written === "*" || URL.parse(written)?.origin === written, {
  message: "is not a web origin",
  params: { remedy: "write scheme and host alone, such as https://app.example.com, or * for any" },
});

/** A channel's name or pattern, in which `{{ claims.… }}` is filled in from who reads. */
const channelName = () =>
  text().superRefine((written, context) => {
    const remedy = templateProblem(written);
    if (remedy !== null) {
      context.addIssue({
        code: "custom",
        message: "has a template that names no claim",
        params: { remedy },
      });
    }
  });

const channelEntry = z.union([
  channelName(),
  object({
    name: channelName().describe("the channel, or a pattern"),
    ephemeral: flag()
      .default(false)
      .describe("messages are handed to those who are there and kept nowhere: cursors, typing (websocket)"),
    presence: flag().default(false).describe("readers may see who is on it (websocket)"),
    slow: slowPolicy
      .optional()
      .describe(
        "what becomes of a reader of this channel that takes less than comes, if not what `slow` says",
      ),
  }),
]);

/** Fields of the bounds that every stream has under `limits`. */
export const limitFields = {
  connections: integer(1, 1_000_000)
    .default(10_000)
    .describe("connections at a time; further ones are asked to come back later"),
  per_address: integer(1, 1_000_000)
    .optional()
    .describe("of these from one address (of IPv6 one /64); off unless set"),
  per_user: integer(1, 1_000_000).optional().describe("of these of one user; off unless set"),
  channels: integer(1, 10_000).default(100).describe("channels on one connection"),
  trusted_proxies: oneOrList(network())
    .optional()
    .describe("networks of the proxies before Leat, whose `X-Forwarded-For` says where a reader is"),
};

/** The fields of a stream that say who may do what. */
export const accessFields = {
  origins: oneOrList(origin)
    .optional()
    .describe(
      "web origins whose pages may read, such as https://app.example.com; `*` for any. The endpoint's own is always allowed",
    ),
  auth: auth.describe("who may read; has no default: `none` must be written"),
  judge: judge
    .optional()
    .describe(
      "an endpoint of yours that is asked too, once `auth` has said yes: where rules here don't suffice",
    ),
  ticket: object({
    ttl: duration()
      .refine((ms) => ms >= 1000 && ms <= 300_000, {
        message: "is out of bounds",
        params: { remedy: "1s to 5m: a page uses a ticket at once, 30s is usual" },
      })
      .prefault("30s")
      .describe("how long a ticket is good for; it is good once"),
  })
    .prefault({})
    .describe("tickets, which a page gets by a POST to `<path>/ticket` and shows as `?ticket=`"),
  channels: z
    .array(channelEntry)
    .min(1)
    .default(["all"])
    .describe(
      "what a reader may join, and joins when it names none: names and patterns (`*` within a segment, `**` across), with `{{ claims.sub }}` filled in from who reads",
    ),
};

/** Where readers may publish, for a stream that takes it. */
export const publishField = () =>
  z
    .array(channelName())
    .default([])
    .describe("channels to which readers may publish, as in `channels`; none unless listed");

type Checked = Pick<z.output<ReturnType<typeof shape>>, "origins" | "auth" | "judge" | "channels"> & {
  readonly publish?: readonly string[];
};

const shape = () => object(accessFields);

/** What only shows when the fields are seen together; for the `superRefine` of a stream's schema. */
export function checkAccess(config: Checked, context: z.RefinementCtx): void {
  const problem = (path: (string | number)[], message: string, remedy: string) =>
    context.addIssue({ code: "custom", path, message, params: { remedy } });
  const { auth: by, origins = [], channels, publish = [] } = config;
  const identifies = by.type === "jwt" || by.type === "http" || config.judge !== undefined;
  const names = channels.map((entry) => (typeof entry === "string" ? entry : entry.name));
  for (const [field, list] of [["channels", names] as const, ["publish", publish] as const]) {
    const at = list.findIndex((name) => name.includes("{{"));
    if (at < 0 || identifies) continue;
    problem(
      [field, at],
      "asks for a claim, and readers have none",
      "auth: { type: jwt } or { type: http } gives them",
    );
  }
  if (config.judge !== undefined && (by.type === "none" || by.type === "http")) {
    const remedy =
      by.type === "none" ? "write its fields as auth: { type: http, … }" : "auth asks one already";
    problem(["judge"], `stands beside auth: { type: ${by.type} }`, remedy);
  }
  const asks = (by.type === "http" ? by : config.judge)?.asks ?? [];
  if (asks.length > 0 && config.publish === undefined) {
    problem(
      [by.type === "http" ? "auth" : "judge", "asks"],
      "is of a websocket's subscriptions and messages",
      "leave it out: of an sse reader the judge is told the channels as it comes",
    );
  }
  if (origins.includes("*") && knowsByCookie(config)) {
    problem(
      ["origins"],
      "lets any page act for a user whom a cookie names",
      "list the origins of your pages",
    );
  }
}

/** A browser sends cookies whichever page asks. */
function knowsByCookie({ auth: by, judge: beside }: Checked): boolean {
  if ((by.type === "jwt" || by.type === "http") && by.cookie !== undefined) return true;
  const forwards = by.type === "http" ? by.forward_headers : (beside?.forward_headers ?? []);
  return forwards.some((name) => name.toLowerCase() === "cookie");
}

export type { AuthConfig, JudgeConfig } from "./schema-auth.ts";
export type ChannelEntryConfig = z.output<typeof channelEntry>;
