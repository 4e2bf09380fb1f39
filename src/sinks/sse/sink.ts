/**
 * The `sse` sink: a stream that browsers and programs read as Server-Sent Events, and resume by `Last-Event-ID`.
 * (WHATWG HTML, section 9.2: https://html.spec.whatwg.org/multipage/server-sent-events.html)
 */
import { z } from "zod";
import type {
  HttpEndpoint,
  KeepsPublished,
  StreamFrame,
  StreamHost,
  StreamSink,
  StreamSinkType,
} from "../../component.ts";
import {
  duration,
  endpointPath,
  flag,
  integer,
  object,
  oneOrList,
  secrets,
  size,
  template,
  text,
} from "../../config/fields.ts";
import type { Seq } from "../../event.ts";
import type { HasStreamMetrics, StreamMetrics } from "../stream/metrics.ts";
import { SseEndpoint } from "./endpoint.ts";

const auth = z.discriminatedUnion("type", [
  object({ type: z.literal("none").describe("anyone may read") }),
  object({
    type: z.literal("bearer").describe("readers send `Authorization: Bearer <token>`"),
    token: secrets().describe("the token, or a list of live ones"),
    query: flag()
      .default(false)
      .describe(
        "also take the token as `?access_token=`; a browser's EventSource can set no headers, but URLs end up in logs",
      ),
  }),
]);

const channelEntry = z.union([text(), object({ name: text().describe("the channel, or a pattern") })]);

/** As a browser sends it: scheme, host, and the port where it isn't the scheme's own. */
const origin = text().refine((written) => written === "*" || URL.parse(written)?.origin === written, {
  message: "is not a web origin",
  params: { remedy: "write scheme and host alone, such as https://app.example.com, or * for any" },
});

const schema = object({
  path: endpointPath().describe("where readers connect on `server.listen`"),
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
      "what a reader may join, and joins when it names none: names and patterns (`*` within a segment, `**` across)",
    ),
  channel: template()
    .default("all")
    .describe("the channel an event goes to; may stand in a route's `to` instead"),
  history: object({
    age: duration().prefault("24h").describe("how long a reader may stay away and still miss nothing"),
    on_connect: duration().prefault("0s").describe("how far back a reader without a position starts"),
  })
    .prefault({})
    .describe("what is kept for readers that come back"),
  event: flag()
    .default(false)
    .describe("send the event's type in `event:`; then only listeners for that type see it"),
  envelope: flag().default(false).describe("wrap the body in JSON with channel, seq, id, type and time"),
  heartbeat: duration()
    .refine((ms) => ms >= 10, {
      message: "is too short",
      params: { remedy: "15s is usual: below the time after which proxies close what is quiet" },
    })
    .prefault("15s")
    .describe("how often a quiet reader hears something, and learns its position"),
  max_buffer: size()
    .prefault("1MiB")
    .describe("what may wait in memory for one slow reader; beyond it, it is fed from the index"),
  max_readers: integer(1, 1_000_000)
    .default(10_000)
    .describe("readers at a time; further ones are asked to come back later"),
});

export type SseConfig = z.output<typeof schema>;

export const sseSink: StreamSinkType<SseConfig> = {
  kind: "stream",
  type: "sse",
  description: "Server-Sent Events, for browsers and programs that read",
  schema,
  templates: ["channel"],
  historyMs: (config) => config.history.age,
  create: (config, host) => new SseSink(config, host),
};

class SseSink implements StreamSink, KeepsPublished, HasStreamMetrics {
  readonly #endpoint: SseEndpoint;

  constructor(config: SseConfig, { index, committed, hosts, clock, log }: StreamHost) {
    const { on_connect: onConnect } = config.history;
    this.#endpoint = new SseEndpoint({
      path: config.path,
      origins: config.origins ?? [],
      hosts,
      auth: config.auth,
      channels: config.channels.map((entry) => (typeof entry === "string" ? entry : entry.name)),
      format: { event: config.event, envelope: config.envelope },
      heartbeatMs: config.heartbeat,
      ...(onConnect > 0 && { begin: () => index.seqAt(clock.wall() - onConnect) }),
      maxBuffer: config.max_buffer,
      maxReaders: config.max_readers,
      history: index,
      committed,
      clock,
      log,
    });
  }

  endpoint(): HttpEndpoint {
    return this.#endpoint;
  }

  start(): Promise<void> {
    return this.#endpoint.start();
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.#endpoint.publish(seq, frames);
  }

  forgetPublished(): void {
    this.#endpoint.forgetPublished();
  }

  stop(): Promise<void> {
    return this.#endpoint.stop();
  }

  metrics(): StreamMetrics {
    return this.#endpoint.metrics();
  }
}
