/** What a `kafka` sink takes in the YAML. */
import { z } from "zod";
import { connectionShape } from "../../brokers/kafka/connection.ts";
import { COMPRESSIONS } from "../../brokers/kafka/producer.ts";
import { flag, object, oneOf, template, text } from "../../config/fields.ts";

export const kafkaSinkSchema = object({
  ...connectionShape,
  topic: template().describe("The topic. It has to be there: Leat makes none."),
  key: template()
    .optional()
    .describe(
      "The record's key, which chooses its partition as Java's clients do. Default: the event's key, if any.",
    ),
  compression: oneOf(COMPRESSIONS)
    .default("none")
    .describe("How batches are packed. lz4 isn't among them: it would need a native module."),
  headers: z.record(z.string(), z.string()).default({}).describe("Headers to send with each record."),
  forward_headers: z
    .array(text())
    .default([])
    .describe("Names of the event's own headers to pass on; its content type always is."),
  cloudevents: flag()
    .default(false)
    .describe("Adds the event's attributes as `ce_*` headers (CloudEvents Kafka binding, binary mode)."),
});

export type KafkaSinkConfig = z.output<typeof kafkaSinkSchema>;
