/** Who may read, as the YAML says it: the fields that every stream has. */
import { z } from "zod";
import { flag, integer, object, oneOf, oneOrList, secrets, text } from "../../../config/fields.ts";
import { network } from "../../webhook/config.ts";
import { templateProblem } from "./claims.ts";

const none = object({ type: z.literal("none").describe("anyone may read") });

const bearer = object({
  type: z.literal("bearer").describe("readers send `Authorization: Bearer <token>`"),
  token: secrets().describe("the token, or a list of live ones"),
  query: flag()
    .default(false)
    .describe(
      "also take the token as `?access_token=`; a browser's EventSource can set no headers, but URLs end up in logs: a ticket is better",
    ),
});

const auth = z.discriminatedUnion("type", [none, bearer]);

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
    slow: oneOf(["close", "drop_oldest", "latest"])
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

export type AuthConfig = z.output<typeof auth>;
export type ChannelEntryConfig = z.output<typeof channelEntry>;
