/** What a `rabbitmq` source takes in the YAML. */
import { z } from "zod";
import { connectionShape } from "../../brokers/rabbitmq/connection.ts";
import { flag, integer, object, oneOf, text } from "../../config/fields.ts";

const binding = object({
  exchange: text().describe("The exchange to take messages from."),
  routing_key: z
    .string()
    .default("")
    .describe("Which of them: a routing key, or a pattern where the exchange is a topic."),
  exchange_type: oneOf(["direct", "topic", "fanout", "headers"])
    .optional()
    .describe("Declares the exchange too, durable; left out, it has to be there."),
  arguments: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe("The binding's arguments, such as `x-match` where the exchange is of type headers."),
});

const declare = object({
  type: oneOf(["quorum", "classic"])
    .default("quorum")
    .describe("`quorum` is on disk at most nodes of a cluster before RabbitMQ says yes to a publisher."),
  durable: flag().default(true).describe("Outlives the broker's restart; a quorum queue always does."),
  bindings: z.array(binding).default([]).describe("Exchanges whose messages come into the queue."),
  dead_letter_exchange: text()
    .optional()
    .describe("Where RabbitMQ puts what it takes out of the queue itself: expired, or delivered too often."),
  dead_letter_routing_key: text().optional().describe("With this key in place of the message's own."),
  delivery_limit: integer(-1, 1_000_000)
    .optional()
    .describe(
      "A quorum queue takes out what was delivered so often without an acknowledgement: by default never before RabbitMQ 4.0, and after 20 from then on; -1: never.",
    ),
  arguments: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .describe("Further arguments of the queue, such as `x-max-length`."),
}).refine((it) => it.durable || it.type === "classic", {
  message: "is false, and a quorum queue is always durable",
  path: ["durable"],
  params: { remedy: "leave it out, or write type: classic" },
});

export const rabbitmqSourceSchema = object({
  ...connectionShape,
  queue: text().describe("The queue to consume."),
  declare: declare
    .optional()
    .describe("Declares the queue, where it isn't there; left out, it has to be there."),
  prefetch: integer(1, 65_535)
    .default(1_000)
    .describe("At most so many messages are taken before their acknowledgement. It bounds the memory."),
  oversize: oneOf(["refuse", "hold"])
    .default("refuse")
    .describe(
      "What is over a limit: `refuse` keeps its beginning, visibly, and goes on; `hold` stops this source until a person acts.",
    ),
});

export type RabbitmqSourceConfig = z.output<typeof rabbitmqSourceSchema>;
export type DeclareConfig = NonNullable<RabbitmqSourceConfig["declare"]>;
