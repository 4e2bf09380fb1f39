/**
 * The `sse` sink: a stream that browsers and programs read as Server-Sent Events, and resume by `Last-Event-ID`.
 * (WHATWG HTML, section 9.2: https://html.spec.whatwg.org/multipage/server-sent-events.html)
 */
import type { z } from "zod";
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
import { duration, endpointPath, flag, object, template } from "../../config/fields.ts";
import type { Seq } from "../../event.ts";
import { Access } from "../stream/access/access.ts";
import { accessFields, checkAccess, limitFields } from "../stream/access/schema.ts";
import { drainField, slowFields, slowOf } from "../stream/fields.ts";
import type { HasStreamMetrics, StreamMetrics } from "../stream/metrics.ts";
import { SseEndpoint } from "./endpoint.ts";

const schema = object({
  path: endpointPath().describe("where readers connect on `server.listen`"),
  ...accessFields,
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
  retry: duration()
    .optional()
    .describe(
      "a reader whose connection ended comes back after this, and up to as long again; else after 1 to 3 s",
    ),
  ...slowFields,
  limits: object(limitFields).prefault({}).describe("how many may be connected, to what"),
  drain: drainField,
}).superRefine(checkAccess);

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

class SseSink
  implements StreamSink, KeepsPublished, TakesOver, HearsOfLapses, Drains, CanRevoke, HasStreamMetrics
{
  readonly #access: Access;
  readonly #endpoint: SseEndpoint;

  constructor(config: SseConfig, host: StreamHost) {
    const { index, committed, clock, log } = host;
    const { on_connect: onConnect } = config.history;
    this.#access = new Access(config, host);
    this.#endpoint = new SseEndpoint({
      path: config.path,
      access: this.#access,
      maxChannels: config.limits.channels,
      format: { event: config.event, envelope: config.envelope },
      heartbeatMs: config.heartbeat,
      ...(onConnect > 0 && { begin: () => index.seqAt(clock.wall() - onConnect) }),
      ...(config.retry !== undefined && { retryMs: config.retry }),
      maxBuffer: config.max_buffer,
      maxDelayMs: config.max_delay,
      slow: slowOf(config.slow, config.channels),
      drainMs: config.drain,
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
