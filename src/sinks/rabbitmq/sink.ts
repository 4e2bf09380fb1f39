/**
 * The `rabbitmq` sink: publishes each event, and counts it as delivered when the broker has confirmed it.
 *
 * Its connection is its own: a broker that runs out of memory or disk blocks those that publish, and a source must go on.
 */
import { type Client, openClient } from "../../brokers/rabbitmq/client.ts";
import { rabbitmqConnection } from "../../brokers/rabbitmq/connection.ts";
import { writtenPlace } from "../../brokers/rabbitmq/place.ts";
import { BrokerError, type Supervised, supervise } from "../../brokers/supervise.ts";
import { unlessAborted, Waiters } from "../../brokers/wait.ts";
import type {
  Message,
  PushedSink,
  PushedSinkHost,
  PushedSinkType,
  Report,
  Standing,
} from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { type RabbitmqSinkConfig, rabbitmqSinkSchema } from "./config.ts";
import { failed, type Outlet, UNANSWERED } from "./outlet.ts";
import { Outlets } from "./outlets.ts";
import { PropertiesOf } from "./properties.ts";

/** Many at once, since each waits for a confirm that the broker gives to many together. */
const CONCURRENCY = 256;

class RabbitmqSink implements PushedSink {
  readonly #config: RabbitmqSinkConfig;
  readonly #host: PushedSinkHost;
  readonly #properties: PropertiesOf;
  #supervised: Supervised | null = null;
  #turn = 0;
  /** Null while it isn't connected, or the broker takes nothing. */
  #outlets: Outlets | null = null;
  #standing: Standing = { state: "waiting", error: "connecting", message: "not connected yet" };
  /** Deliveries that wait for a connection. */
  readonly #waiters = new Waiters();

  constructor(config: RabbitmqSinkConfig, host: PushedSinkHost) {
    this.#config = config;
    this.#host = host;
    this.#properties = new PropertiesOf(config);
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands = (standing: Standing) => this.#stands(standing);
    this.#supervised = supervise({ clock, log, stands, chance: systemChance }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async deliver(message: Message, signal: AbortSignal): Promise<Report> {
    // An outage that ends within the sink's time-out costs no attempt.
    while (this.#outlets === null && !signal.aborted) await this.#waiters.wait(signal);
    if (this.#outlets === null) return failed(this.#why());
    const { exchange = "", routing_key = "" } = message.fields;
    const publish = (outlet: Outlet) =>
      outlet.publish(routing_key, message.body, this.#properties.of(message), signal);
    try {
      const report = await unlessAborted(this.#outlets.use(exchange, publish), signal);
      return report ?? UNANSWERED;
    } catch (error) {
      if (error instanceof BrokerError) return failed(error);
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#supervised?.stop();
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    const { clock, name } = this.#host;
    const client = await openClient({
      config: this.#config,
      turn: this.#turn++,
      name: `leat sink ${name}`,
      clock,
      signal,
    });
    try {
      const outlets = new Outlets(client);
      this.#watchBlocking(client, outlets);
      this.#connected(outlets);
      up();
      const over = await unlessAborted(client.over, signal);
      if (over !== null) throw over;
    } finally {
      this.#outlets = null;
      await client.close();
    }
  }

  /** What is published to a broker that has blocked us lies in a socket that it doesn't read. */
  #watchBlocking({ model }: Client, outlets: Outlets): void {
    model.on("blocked", (reason) => {
      this.#outlets = null;
      const message = `the broker takes nothing from publishers (${reason}): give it memory or disk`;
      this.#stands({ state: "waiting", error: "blocked", message });
    });
    model.on("unblocked", () => {
      this.#connected(outlets);
      this.#stands({ state: "connected" });
    });
  }

  #connected(outlets: Outlets): void {
    this.#outlets = outlets;
    this.#waiters.wakeAll();
  }

  #stands(standing: Standing): void {
    this.#standing = standing;
    this.#host.stands(standing);
  }

  #why(): { error: string; message: string } {
    const standing = this.#standing;
    return standing.state === "waiting"
      ? standing
      : { error: "closed", message: "the connection has just been lost" };
  }
}

export const rabbitmqSink: PushedSinkType<RabbitmqSinkConfig> = {
  kind: "pushed",
  type: "rabbitmq",
  description: "Publishes each event to an exchange of RabbitMQ, and takes its confirm for a yes.",
  schema: rabbitmqSinkSchema,
  connection: rabbitmqConnection,
  concurrency: CONCURRENCY,
  templates: ["exchange", "routing_key"],
  writes: (config, { exchange = "", routing_key = "" }) =>
    `${exchange}${routing_key}`.includes("{{") ? null : writtenPlace(config, exchange, routing_key),
  givesBack: () => false,
  create: (config, host) => new RabbitmqSink(config, host),
};
