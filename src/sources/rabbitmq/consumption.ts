/**
 * One consumer on one channel, from its first message to its end.
 *
 *   consume ──► taking ──► over: the channel or the connection ended, or the broker cancelled,
 *                 │              or it can't go on as it is (see `End`)
 *                 └──► drain ──► over: it was told to stop
 *
 * A message is acknowledged once it and all before it are on disk (J1), by one frame for many. At a drain what is on disk
 * behind one that isn't is acknowledged too, so that it doesn't come again. Whatever isn't on disk when the channel ends
 * goes back into the queue by itself; nothing is ever nacked, since a queue may drop what comes back too often.
 */
import type { Channel, ConsumeMessage } from "amqplib";
import { channelOver } from "../../brokers/rabbitmq/client.ts";
import { channelFailure, type Doing } from "../../brokers/rabbitmq/failure.ts";
import { BrokerError } from "../../brokers/supervise.ts";
import type { SourceHost } from "../../component.ts";
import { createTaker, type Take } from "../take.ts";
import { type Taken, Unsettled } from "../unsettled.ts";
import { toArrival } from "./arrival.ts";
import type { RabbitmqSourceConfig } from "./config.ts";
import { Portion } from "./portion.ts";

/**
 * Why it is over.
 * - `failed`: the broker, or the way to it, or the journal.
 * - `stalled`: the journal has taken nothing for so long that holding the messages does harm.
 * - `held`: a message is over a limit and `oversize` is `hold`.
 * - `resize`: with this prefetch the bodies in hand fit into memory, or more of them do.
 */
export type End =
  | { readonly why: "failed"; readonly error: BrokerError }
  | { readonly why: "stalled" | "held" }
  | { readonly why: "resize"; readonly prefetch: number };

/** RabbitMQ closes a channel that holds a message for 30 min; long before that others had better have it. */
const STALLED_MS = 60_000;
/** How often the oldest message in hand is looked at. */
const LOOK_MS = 5_000;
/** How long what is being appended may take at a stop. */
const DRAIN_MS = 5_000;
/** For the channel's goodbye. */
const CLOSE_MS = 1_000;
/** RabbitMQ 4 drops a message of a quorum queue after 20 by default. */
const MANY_DELIVERIES = 10;

export class Consumption {
  /** Never rejects. */
  readonly over: Promise<End>;
  readonly #end: (end: End) => void;
  readonly #channel: Channel;
  /** Resolves once the channel has ended. */
  readonly #gone: Promise<void>;
  readonly #config: RabbitmqSourceConfig;
  readonly #host: SourceHost;
  readonly #doing: Doing;
  readonly #taking = new AbortController();
  readonly #take: Take;
  readonly #unsettled = new Unsettled<ConsumeMessage>((messages) => this.#acknowledge(messages));
  readonly #portion: Portion;
  #tag = "";
  #open = true;
  #ended = false;
  /** How many in hand never get on disk, since `oversize: hold` holds them. */
  #held = 0;
  #warned = false;
  #drained: (() => void) | null = null;

  /** The channel must be new: from now on it is listened to. */
  constructor(channel: Channel, config: RabbitmqSourceConfig, host: SourceHost, prefetch: number) {
    this.#channel = channel;
    this.#config = config;
    this.#host = host;
    this.#portion = new Portion(prefetch, config.prefetch);
    this.#doing = {
      what: `consume queue '${config.queue}'`,
      missing: "unknown_queue",
      remedy: "create it, or mend the name",
    };
    this.#take = createTaker(host, {
      oversize: config.oversize,
      signal: this.#taking.signal,
      held: () => this.#hold(),
    });
    const { promise, resolve } = Promise.withResolvers<End>();
    this.over = promise;
    this.#end = (end) => {
      this.#ended = true;
      resolve(end);
    };
    this.#gone = channelOver(channel, this.#doing).then((error) => {
      this.#open = false;
      this.#drained?.();
      this.#end({ why: "failed", error });
    });
  }

  /** Whether it takes no more; `over` says why. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Messages in hand. */
  get count(): number {
    return this.#unsettled.count;
  }

  /** Begins to consume. Rejects with a BrokerError. */
  async begin(): Promise<void> {
    try {
      await this.#channel.prefetch(this.#portion.prefetch);
      const { consumerTag } = await this.#channel.consume(this.#config.queue, (message) =>
        this.#receive(message),
      );
      this.#tag = consumerTag;
    } catch (cause) {
      throw channelFailure(cause, this.#doing);
    }
    this.#look();
  }

  /** Takes no more, and acknowledges what is on disk within 5 s. The channel stays open. Never rejects. */
  async drain(): Promise<void> {
    this.#ended = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#host.clock.after(DRAIN_MS, resolve);
    this.#drained = resolve;
    if (this.#open) {
      // What is on its way isn't taken any more, and goes back with the channel's end: no need to wait for the answer.
      this.#channel.cancel(this.#tag).catch(() => {});
      this.#whenDrained();
      await promise;
      this.#settleSingly();
    }
    cancel();
  }

  /**
   * To be called when it is over, whyever: closes the channel, and what waits for the journal waits no longer. The channel
   * before its connection, whose goodbye would overtake the acknowledgements. Never rejects.
   */
  async close(): Promise<void> {
    this.#ended = true;
    this.#taking.abort();
    if (!this.#open) return;
    this.#open = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#host.clock.after(CLOSE_MS, resolve);
    this.#channel.close().catch(() => {});
    await Promise.race([promise, this.#gone]);
    cancel();
  }

  #receive(message: ConsumeMessage | null): void {
    if (this.#ended) return;
    if (message === null) {
      const text =
        "the broker cancelled the consumer: its queue was deleted, or the node that leads it is gone";
      this.#end({ why: "failed", error: new BrokerError("cancelled", text) });
      return;
    }
    const { content, properties } = message;
    const arrival = toArrival(message, this.#config.queue);
    const position = () =>
      `a message of queue '${this.#config.queue}' with ${properties.messageId === undefined ? "no id" : `id ${properties.messageId}`}`;
    const taken = this.#unsettled.add(message, content.byteLength, this.#host.clock.monotonic());
    this.#take(arrival, position).then(
      () => this.#settled(taken),
      (cause: unknown) => this.#fail(cause),
    );
    this.#watchDeliveries(properties.headers?.["x-delivery-count"]);
    const prefetch = this.#portion.after(content.byteLength, this.#unsettled);
    if (prefetch !== null) this.#end({ why: "resize", prefetch });
  }

  /** A quorum queue counts in this header how often a message came back. */
  #watchDeliveries(count: unknown): void {
    if (this.#warned || typeof count !== "number" || count < MANY_DELIVERIES) return;
    this.#warned = true;
    this.#host.log.warn(
      { queue: this.#config.queue, deliveries: count },
      "messages have come back into the queue many times; a queue with a delivery limit and no dead-letter exchange drops them",
    );
  }

  #settled(taken: Taken<ConsumeMessage>): void {
    this.#unsettled.settle(taken);
    this.#whenDrained();
  }

  #acknowledge(messages: readonly ConsumeMessage[]): void {
    const last = messages.at(-1);
    // On a closed channel `ack` throws; the broker has the messages back then.
    if (last !== undefined && this.#open) this.#channel.ack(last, true);
  }

  #hold(): void {
    this.#held++;
    this.#end({ why: "held" });
    this.#whenDrained();
  }

  #whenDrained(): void {
    // Counted at a drain only: there may be 65,535.
    if (this.#drained !== null && this.#unsettled.unfinished <= this.#held) this.#drained();
  }

  /** What is on disk behind one that isn't: no frame for many can say that. */
  #settleSingly(): void {
    if (!this.#open) return;
    this.#unsettled.flush();
    for (const message of this.#unsettled.behind()) this.#channel.ack(message);
  }

  #fail(cause: unknown): void {
    if (this.#taking.signal.aborted) return;
    const error = new BrokerError("journal", "the journal can't be written: the log says more", { cause });
    this.#end({ why: "failed", error });
  }

  #look(): void {
    if (this.#ended) return;
    const { oldest } = this.#unsettled;
    if (oldest !== null && this.#host.clock.monotonic() - oldest > STALLED_MS) this.#end({ why: "stalled" });
    else this.#host.clock.after(LOOK_MS, () => this.#look());
  }
}
