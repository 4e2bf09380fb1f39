/**
 * The `websocket` sink: a stream that browsers and programs speak with over one connection (RFC 6455), in the protocol of
 * docs/websocket.md. They subscribe to channels, resume by position, and publish: what they publish are events of the
 * source that bears the sink's name.
 */
import { z } from "zod";
import type {
  CanRevoke,
  Drains,
  HearsOfLapses,
  HttpEndpoint,
  KeepsPublished,
  Revocation,
  StreamFrame,
  StreamHost,
  StreamSink,
  StreamSinkType,
  TakesOver,
} from "../../component.ts";
import { duration, endpointPath, flag, object, rate, size, template } from "../../config/fields.ts";
import type { Seq } from "../../event.ts";
import { Access } from "../stream/access/access.ts";
import { accessFields, checkAccess, limitFields, publishField } from "../stream/access/schema.ts";
import { MAX_CHANNEL_BYTES } from "../stream/channels.ts";
import { drainField, slowFields, slowOf } from "../stream/fields.ts";
import type { HasStreamMetrics, StreamMetrics } from "../stream/metrics.ts";
import { Crowd } from "./crowd.ts";
import { WebSocketEndpoint } from "./endpoint.ts";
import { ephemeralBy } from "./ephemeral.ts";
import { Publisher } from "./publisher.ts";

const schema = object({
  path: endpointPath().describe("where clients connect on `server.listen`"),
  ...accessFields,
  publish: publishField(),
  dedupe: z
    .union([z.literal("off").transform(() => null), duration()])
    .prefault("3d")
    .describe(
      "how long the id of what a client published is remembered, so that a repeat is dropped; or off",
    ),
  channel: template()
    .default("all")
    .describe("the channel an event goes to; may stand in a route's `to` instead"),
  history: object({
    age: duration().prefault("24h").describe("how long a client may stay away and still miss nothing"),
    on_connect: duration()
      .prefault("0s")
      .describe("how far back a channel begins that is named without `since`"),
  })
    .prefault({})
    .describe("what is kept for clients that come back"),
  envelope: flag().default(false).describe("events also tell their id, type and time"),
  compress: flag()
    .default(false)
    .describe(
      "offer `permessage-deflate`: a message of 1 KiB or more is compressed once for all who take it so; costs time, and memory for each client that sends so",
    ),
  heartbeat: duration()
    .refine((ms) => ms >= 10, {
      message: "is too short",
      params: { remedy: "15s is usual: below the time after which proxies close what is quiet" },
    })
    .prefault("15s")
    .describe(
      "how often a client hears its position and is asked whether it is there; silent three times, it is closed",
    ),
  retry: duration()
    .optional()
    .describe(
      "a client that is sent away comes back after this, and up to as long again; else after 1 to 3 s",
    ),
  ...slowFields,
  limits: object({
    ...limitFields,
    message: size().prefault("64KiB").describe("what a client says at once; more, and it is closed (1009)"),
    messages: rate()
      .prefault("100/s")
      .describe("what one client may say; beyond it, no more is read from it until it may"),
    publish: rate()
      .prefault("20/s")
      .describe("what one client may publish; beyond it, it is refused and told"),
  })
    .prefault({})
    .describe("how many may be connected, to what, and how much they may say"),
  presence_grace: duration()
    .prefault("5s")
    .describe("one who is back on a channel within this never left it (`presence`)"),
  drain: drainField,
}).superRefine(checkAccess);

export type WebSocketConfig = z.output<typeof schema>;

export const websocketSink: StreamSinkType<WebSocketConfig> = {
  kind: "stream",
  type: "websocket",
  description: "WebSocket, for browsers and programs that read and publish",
  schema,
  templates: ["channel"],
  historyMs: (config) => config.history.age,
  givesBack: (config) => (config.publish.length > 0 ? { dedupeMs: config.dedupe } : null),
  create: (config, host) => new WebSocketSink(config, host),
};

class WebSocketSink
  implements StreamSink, KeepsPublished, TakesOver, HearsOfLapses, Drains, CanRevoke, HasStreamMetrics
{
  readonly #access: Access;
  readonly #endpoint: WebSocketEndpoint;

  constructor(config: WebSocketConfig, host: StreamHost) {
    const { index, committed, source, clock, log } = host;
    const { limits, channels, history } = config;
    this.#access = new Access(config, host);
    const wanted = channels.some((entry) => typeof entry !== "string" && (entry.ephemeral || entry.presence));
    this.#endpoint = new WebSocketEndpoint({
      path: config.path,
      access: this.#access,
      publisher: new Publisher(source ?? null, limits.publish, ephemeralBy(channels)),
      crowd: new Crowd({ clock, wanted, graceMs: config.presence_grace }),
      envelope: config.envelope,
      compress: config.compress,
      heartbeatMs: config.heartbeat,
      retryMs: config.retry ?? null,
      ...(history.on_connect > 0 && { begin: () => index.seqAt(clock.wall() - history.on_connect) }),
      maxBuffer: config.max_buffer,
      maxDelayMs: config.max_delay,
      slow: slowOf(config.slow, channels),
      drainMs: config.drain,
      maxMessageBytes: limits.message,
      messageRate: limits.messages,
      publishRate: limits.publish,
      maxChannels: limits.channels,
      channelBytes: MAX_CHANNEL_BYTES,
      history: index,
      committed,
      clock,
      log,
    });
  }

  endpoint(): HttpEndpoint {
    return this.#endpoint;
  }

  async start(): Promise<void> {
    await this.#access.start();
    await this.#endpoint.start();
  }

  publish(seq: Seq, frames: readonly StreamFrame[]): void {
    this.#endpoint.publish(seq, frames);
  }

  forgetPublished(): void {
    this.#endpoint.forgetPublished();
  }

  takeOver(through: Seq): void {
    this.#endpoint.takeOver(through);
  }

  lapse(through: Seq): void {
    this.#endpoint.lapse(through);
  }

  drain(): Promise<void> {
    return this.#endpoint.drain();
  }

  async stop(): Promise<void> {
    await this.#endpoint.stop();
    await this.#access.stop();
  }

  revoke(user: string, channel: string | null, forMs: number): Promise<number> {
    return this.#access.revoke(user, channel, forMs);
  }

  restore(user: string, channel: string | null): Promise<boolean> {
    return this.#access.restore(user, channel);
  }

  revocations(): readonly Revocation[] {
    return this.#access.revocations();
  }

  metrics(): StreamMetrics {
    return this.#endpoint.metrics();
  }
}
