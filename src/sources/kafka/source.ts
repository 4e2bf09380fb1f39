/** The kafka source: a consumer group's share of topics. */
import { z } from "zod";
import { bootstrapList, connectionShape, kafkaConnection } from "../../brokers/kafka/connection.ts";
import type { HasLag, Source, SourceType } from "../../component.ts";
import { duration, object, oneOf, text } from "../../config/fields.ts";
import { KafkaReader } from "./reader.ts";
import { topicChoice, topicField } from "./topics.ts";

const schema = object({
  ...connectionShape,
  topics: z
    .array(topicField())
    .min(1)
    .describe(
      "The topics, by name or by a regular expression between slashes that matches the whole name (RE2): `/orders-.*/`.",
    ),
  group: text()
    .default("leat")
    .describe("The consumer group: several Leats with one name share the partitions out between them."),
  start: oneOf(["earliest", "latest"])
    .default("earliest")
    .describe(
      "Where a group begins that hasn't read a topic yet: with all there is, or with what comes from now on.",
    ),
  oversize: oneOf(["refuse", "hold"])
    .default("refuse")
    .describe(
      "A record over a limit is kept as refused (its first 1 KiB) and gone past, or the source stands still until a person acts.",
    ),
  session_timeout: duration()
    .prefault("10s")
    .describe("After so long without a word, the group gives a member's partitions to the others."),
  discover: duration()
    .refine((ms) => ms >= 1_000, {
      message: "is shorter than 1s",
      params: { remedy: "leave it out, or write 30s" },
    })
    .prefault("30s")
    .describe("How often it looks for new topics, and for how much waits."),
});

export type KafkaSourceConfig = z.output<typeof schema>;

export const kafkaSource: SourceType<KafkaSourceConfig> = {
  kind: "source",
  type: "kafka",
  description: "Records of Kafka topics; the group's place is committed once they are on disk.",
  schema,
  connection: kafkaConnection,
  largeBodies: true,
  reads(config, address) {
    const [family, brokers = "", topic = ""] = address.split(" ");
    const choice = topicChoice(config.topics);
    const ours = bootstrapList(config);
    return (
      family === "kafka" &&
      brokers.split(",").some((broker) => ours.includes(broker)) &&
      (choice.names.includes(topic) || choice.matches(topic))
    );
  },
  create: (config, host): Source & HasLag => new KafkaReader(config, host),
};
