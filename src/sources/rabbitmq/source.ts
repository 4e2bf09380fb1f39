/**
 * The `rabbitmq` source: consumes one queue, and acknowledges what is on disk.
 *
 * A life is a connection with one consumer on one channel. Whatever ends one of them ends the life, and `supervise` begins
 * the next: the broker then has back what wasn't acknowledged.
 */
import { type Client, openClient } from "../../brokers/rabbitmq/client.ts";
import { rabbitmqConnection } from "../../brokers/rabbitmq/connection.ts";
import { connectionFailure } from "../../brokers/rabbitmq/failure.ts";
import { BrokerError, type Supervised, supervise } from "../../brokers/supervise.ts";
import { pause, unlessAborted } from "../../brokers/wait.ts";
import type { HasLag, Source, SourceHost, SourceType } from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { type RabbitmqSourceConfig, rabbitmqSourceSchema } from "./config.ts";
import { Consumption, type End } from "./consumption.ts";
import { Lag } from "./lag.ts";
import { consumes, deliveryLimitWarning, prepareQueue } from "./topology.ts";

/** How often a journal that takes nothing is asked. */
const ASK_MS = 500;
/** What is held is looked at again so seldom, since a quorum queue counts each look as a delivery that failed. */
const HELD_MS = 3_600_000;

const JOURNAL_WAITS = new BrokerError(
  "journal",
  "the journal takes nothing now; the messages wait in the queue meanwhile",
);

class RabbitmqSource implements Source, HasLag {
  readonly #config: RabbitmqSourceConfig;
  readonly #host: SourceHost;
  readonly #lag: Lag;
  #supervised: Supervised | null = null;
  #inHand: Consumption | null = null;
  #turn = 0;
  #warned = false;

  constructor(config: RabbitmqSourceConfig, host: SourceHost) {
    this.#config = config;
    this.#host = host;
    this.#lag = new Lag(config.queue, host.clock);
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands = this.#host.stands.bind(this.#host);
    this.#supervised = supervise({ clock, log, stands, chance: systemChance }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async stop(): Promise<void> {
    await this.#supervised?.stop();
  }

  lag(): number | null {
    const { ready } = this.#lag;
    return ready === null ? null : ready + (this.#inHand?.count ?? 0);
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    const { clock, name } = this.#host;
    await this.#untilIntakeIsOpen(signal);
    if (signal.aborted) return;
    const open = { config: this.#config, turn: this.#turn++, name: `leat source ${name}`, clock, signal };
    const client = await openClient(open);
    let end: End | null;
    try {
      end = await this.#consume(client, up, signal);
      if (end?.why === "failed") throw end.error;
    } catch (error) {
      // A channel that ends with its connection doesn't say why.
      throw client.why ?? error;
    } finally {
      this.#lag.forget();
      await client.close();
    }
    if (end?.why === "stalled") throw JOURNAL_WAITS;
    if (end?.why === "held") await pause(clock, HELD_MS, signal);
  }

  /** Why it is over; null where it was told to stop. */
  async #consume(client: Client, up: () => void, signal: AbortSignal): Promise<End | null> {
    for (let prefetch = this.#config.prefetch; ; ) {
      const consumption = await this.#begin(client, prefetch, signal);
      if (consumption === null) return null;
      this.#inHand = consumption;
      try {
        // What came with the broker's answer may be over a limit already: that it is held stays said.
        if (!consumption.ended) up();
        const over = client.over.then((error): End => ({ why: "failed", error }));
        const end = await unlessAborted(Promise.race([consumption.over, over]), signal);
        if (end?.why !== "failed" && end?.why !== "stalled") await consumption.drain();
        if (end?.why !== "resize") return end;
        this.#host.log.debug(
          { prefetch: end.prefetch },
          "takes more or fewer messages at once, by their size",
        );
        prefetch = end.prefetch;
      } finally {
        this.#inHand = null;
        await consumption.close();
      }
    }
  }

  /** Null where it was told to stop before. */
  #begin(client: Client, prefetch: number, signal: AbortSignal): Promise<Consumption | null> {
    const begin = async () => {
      const channel = await client.model.createChannel().catch((cause: unknown) => {
        throw connectionFailure(cause);
      });
      const consumption = new Consumption(channel, this.#config, this.#host, prefetch);
      await prepareQueue(channel, this.#config);
      await consumption.begin();
      this.#lag.watch(channel);
      this.#warn(client);
      return consumption;
    };
    return unlessAborted(begin(), signal);
  }

  #warn({ model }: Client): void {
    const warning = deliveryLimitWarning(this.#config.declare, model.connection.serverProperties.version);
    if (warning === null || this.#warned) return;
    this.#warned = true;
    this.#host.log.warn({ queue: this.#config.queue, warning }, "the queue may drop messages");
  }

  /** A message that is taken and can't be kept counts as a delivery that failed: rather not take it. */
  async #untilIntakeIsOpen(signal: AbortSignal): Promise<void> {
    if (this.#host.intake().open) return;
    const { error, message } = JOURNAL_WAITS;
    this.#host.stands({ state: "waiting", error, message });
    while (!signal.aborted && !this.#host.intake().open) await pause(this.#host.clock, ASK_MS, signal);
  }
}

export const rabbitmqSource: SourceType<RabbitmqSourceConfig> = {
  kind: "source",
  type: "rabbitmq",
  description: "Consumes a queue of RabbitMQ, and acknowledges each message once it is on disk.",
  schema: rabbitmqSourceSchema,
  connection: rabbitmqConnection,
  largeBodies: true,
  reads: consumes,
  create: (config, host) => new RabbitmqSource(config, host),
};
