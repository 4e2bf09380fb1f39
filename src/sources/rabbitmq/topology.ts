/** Makes sure that the queue is there, declared as configured, before it is consumed. */
import type { Channel } from "amqplib";
import { channelFailure, type Doing } from "../../brokers/rabbitmq/failure.ts";
import { nodesOf, readPlace, topicMatches } from "../../brokers/rabbitmq/place.ts";
import type { DeclareConfig, RabbitmqSourceConfig } from "./config.ts";

/** Rejects with a BrokerError; the broker has then closed the channel. */
export async function prepareQueue(
  channel: Channel,
  { queue, declare }: Pick<RabbitmqSourceConfig, "queue" | "declare">,
): Promise<void> {
  if (declare === undefined) {
    await doing(channel.checkQueue(queue), {
      what: `find queue '${queue}'`,
      missing: "unknown_queue",
      remedy: "create it, mend the name, or have it declared by `declare: {}`",
    });
    return;
  }
  await doing(channel.assertQueue(queue, { durable: declare.durable, arguments: queueArguments(declare) }), {
    what: `declare queue '${queue}'`,
    missing: "unknown_queue",
    remedy: "a node that holds it may be down",
  });
  for (const { exchange, routing_key, exchange_type, arguments: args } of declare.bindings) {
    if (exchange_type !== undefined) {
      await doing(channel.assertExchange(exchange, exchange_type, { durable: true }), {
        what: `declare exchange '${exchange}'`,
        missing: "unknown_exchange",
        remedy: "create it",
      });
    }
    await doing(channel.bindQueue(queue, exchange, routing_key, args), {
      what: `bind queue '${queue}' to exchange '${exchange}'`,
      missing: "unknown_exchange",
      remedy: "create the exchange, mend its name, or write exchange_type beside it to have it declared",
    });
  }
}

export function queueArguments(declare: DeclareConfig): Record<string, string | number | boolean> {
  const { type, dead_letter_exchange, dead_letter_routing_key, delivery_limit } = declare;
  return {
    ...declare.arguments,
    "x-queue-type": type,
    ...(dead_letter_exchange === undefined ? {} : { "x-dead-letter-exchange": dead_letter_exchange }),
    ...(dead_letter_routing_key === undefined
      ? {}
      : { "x-dead-letter-routing-key": dead_letter_routing_key }),
    ...(delivery_limit === undefined ? {} : { "x-delivery-limit": delivery_limit }),
  };
}

async function doing(asked: Promise<unknown>, what: Doing): Promise<void> {
  try {
    await asked;
  } catch (cause) {
    throw channelFailure(cause, what);
  }
}

/**
 * A queue that takes out, in silence, what was delivered too often: a crash of ours, or a cut, counts as a delivery. Null
 * where there is nothing to fear, or nothing to be known: AMQP doesn't tell a queue's policies.
 */
export function deliveryLimitWarning(
  declare: DeclareConfig | undefined,
  brokerVersion: string | undefined,
): string | null {
  if (declare === undefined || declare.type === "classic" || declare.dead_letter_exchange !== undefined)
    return null;
  const limit = declare.delivery_limit ?? (Number.parseInt(brokerVersion ?? "", 10) >= 4 ? 20 : -1);
  return limit < 0
    ? null
    : `the queue drops a message after ${limit} deliveries without an acknowledgement, each crash and each cut being one: give it a dead_letter_exchange (by declare or by a policy), or delivery_limit: -1`;
}

/** Whether what is published there (`writtenPlace`) comes into the queue, as far as the configuration tells. */
export function consumes(config: RabbitmqSourceConfig, written: string): boolean {
  const place = readPlace(written);
  if (place === null || !nodesOf(config).some((node) => place.nodes.includes(node))) return false;
  const { exchange, routingKey } = place;
  if (exchange === "") return routingKey === config.queue;
  return (config.declare?.bindings ?? []).some((binding) => {
    // Of an exchange that isn't declared here the type isn't known: a pattern is taken for one.
    if (binding.exchange !== exchange) return false;
    return binding.exchange_type === "fanout" || topicMatches(binding.routing_key, routingKey);
  });
}
