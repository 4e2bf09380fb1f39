/**
 * A confirm channel for one exchange.
 *
 * The broker closes a channel for a single message that it refuses (an exchange that is gone, a permission, a size), and
 * with it goes the answer to all others on it. With a channel for each exchange these others have the same trouble
 * themselves.
 *
 * amqplib's confirm says yes to a message that no queue got: only the `return` before it tells. Each attempt's trace
 * context is its own, so a return is matched by that, and never by the message id, which several routes may share.
 */
import type { ConfirmChannel, Message as Returned } from "amqplib";
import { type Client, channelOver } from "../../brokers/rabbitmq/client.ts";
import { channelFailure, PRECONDITION_FAILED } from "../../brokers/rabbitmq/failure.ts";
import type { BrokerError } from "../../brokers/supervise.ts";
import { Waiters } from "../../brokers/wait.ts";
import type { Report } from "../../component.ts";
import type { Properties } from "./properties.ts";

type Failed = Extract<Report, { result: "failed" }>;

/** What amqplib throws where a channel has ended. */
function isClosedChannel(error: unknown): boolean {
  return error instanceof Error && error.name === "IllegalOperationError";
}

export function failed({ error, message }: { readonly error: string; readonly message: string }): Failed {
  return { result: "failed", error, message };
}

/** Opens the channel and makes sure that the exchange is there. Rejects with a BrokerError. */
export async function openOutlet(client: Client, exchange: string): Promise<Outlet> {
  const doing = {
    what: exchange === "" ? "publish to the default exchange" : `publish to exchange '${exchange}'`,
    missing: "unknown_exchange",
    remedy: "create the exchange, or mend its name",
  };
  try {
    const channel = await client.model.createConfirmChannel();
    const over = channelOver(channel, doing).then((error) => client.why ?? error);
    const outlet = new Outlet(channel, exchange, over);
    if (exchange !== "") await channel.checkExchange(exchange);
    return outlet;
  } catch (cause) {
    throw client.why ?? channelFailure(cause, doing);
  }
}

const DELIVERED: Report = { result: "delivered" };
export const UNANSWERED = failed({ error: "timeout", message: "the broker didn't confirm it in time" });
const NACKED = failed({
  error: "nack",
  message:
    "the broker refused it (nack): a queue of the exchange is full (x-overflow: reject-publish), or failed",
});

interface Pending {
  readonly bytes: number;
  resolve(report: Report): void;
}

export class Outlet {
  /** Resolves with why, once the channel has ended. */
  readonly over: Promise<BrokerError>;
  readonly #channel: ConfirmChannel;
  readonly #exchange: string;
  /** Deliveries that are under way, by their trace context. */
  readonly #pending = new Map<string, Pending>();
  /** Deliveries that wait until the socket takes more. */
  readonly #waiters = new Waiters();
  #full = false;
  #closed = false;

  constructor(channel: ConfirmChannel, exchange: string, over: Promise<BrokerError>) {
    this.#channel = channel;
    this.#exchange = exchange;
    this.over = over;
    channel.on("return", (message) => this.#returned(message));
    channel.on("drain", () => this.#room());
    channel.on("error", (error) => this.#refused(error));
    // Before amqplib's own listener, which calls what waits for a confirm.
    channel.prependListener("close", () => {
      this.#closed = true;
      this.#room();
    });
  }

  /**
   * Publishes, and resolves once the broker has confirmed, refused or returned it, or the channel has ended; with
   * `timeout` once the signal aborts, and then nobody knows whether the broker has it. Never rejects.
   */
  async publish(
    routingKey: string,
    body: Uint8Array,
    properties: Properties,
    signal: AbortSignal,
  ): Promise<Report> {
    // While the socket takes no more, what is added would only lie in memory.
    while (this.#full && !this.#closed && !signal.aborted) await this.#waiters.wait(signal);
    if (signal.aborted) return UNANSWERED;
    const { promise, resolve } = Promise.withResolvers<Report>();
    const key = String(properties.headers.traceparent);
    const giveUp = () => resolve(UNANSWERED);
    signal.addEventListener("abort", giveUp);
    this.#pending.set(key, { bytes: body.byteLength, resolve });
    try {
      this.#send(routingKey, body, properties, key);
    } catch (error) {
      if (isClosedChannel(error)) void this.over.then((why) => resolve(failed(why)));
      else resolve(unsendable(error));
    }
    const report = await promise;
    this.#pending.delete(key);
    signal.removeEventListener("abort", giveUp);
    return report;
  }

  /** Ends the channel; what is under way on it fails. Never rejects. */
  async close(): Promise<void> {
    await Promise.race([this.#channel.close().catch(() => {}), this.over]);
  }

  #send(routingKey: string, body: Uint8Array, properties: Properties, key: string): void {
    const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    const confirmed = (error: unknown) => {
      const pending = this.#pending.get(key);
      if (pending === undefined) return;
      const { resolve } = pending;
      if (error === null) resolve(DELIVERED);
      else if (this.#closed) void this.over.then((why) => resolve(failed(why)));
      else resolve(NACKED);
    };
    if (!this.#channel.publish(this.#exchange, routingKey, content, properties, confirmed)) this.#full = true;
  }

  #returned({ fields, properties }: Returned): void {
    const message = `no queue of ${this.#exchange === "" ? "that name" : `exchange '${this.#exchange}'`} takes messages with routing key '${fields.routingKey}': bind one, or mend the key`;
    this.#pending.get(String(properties.headers?.traceparent))?.resolve({
      result: "rejected",
      error: "unroutable",
      message,
    });
  }

  /**
   * Over the broker's `max_message_size`, which it doesn't tell of before: if one was too large, the largest was. It would
   * end this channel at each attempt, for all that are on it.
   */
  #refused(error: Error): void {
    if (!("code" in error) || error.code !== PRECONDITION_FAILED) return;
    const [largest] = [...this.#pending.values()].toSorted((a, b) => b.bytes - a.bytes);
    const message = `the broker closed the channel for it: ${error.message}`;
    largest?.resolve({ result: "rejected", error: "too_large", message });
  }

  #room(): void {
    this.#full = false;
    this.#waiters.wakeAll();
  }
}

/** What AMQP has no room for: a routing key over 255 bytes, headers over 64 KiB. */
function unsendable(error: unknown): Report {
  const why = error instanceof Error ? error.message : String(error);
  return { result: "rejected", error: "unsendable", message: `it makes no message: ${why}` };
}
