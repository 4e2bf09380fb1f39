/** What a `rabbitmq` sink takes in the YAML. */
import { z } from "zod";
import { connectionShape } from "../../brokers/rabbitmq/connection.ts";
import { flag, object, template, text } from "../../config/fields.ts";

export const rabbitmqSinkSchema = object({
  ...connectionShape,
  exchange: template()
    .optional()
    .describe("The exchange to publish to; left out, the default one, whose routing keys are queues' names."),
  routing_key: template().optional().describe("The routing key; left out, an empty one."),
  mandatory: flag()
    .default(true)
    .describe(
      "An event that the exchange has no queue for is dead, with that reason. `false`: the broker drops it in silence.",
    ),
  persistent: flag().default(true).describe("A durable queue keeps it over the broker's restart."),
  headers: z.record(z.string(), z.string()).default({}).describe("Headers to send with each message."),
  forward_headers: z
    .array(text())
    .default([])
    .describe("Names of the event's own headers to pass on; its content type always is."),
  cloudevents: flag()
    .default(false)
    .describe(
      "Adds the event's attributes as `cloudEvents:*` headers (CloudEvents AMQP binding, binary mode).",
    ),
});

export type RabbitmqSinkConfig = z.output<typeof rabbitmqSinkSchema>;
