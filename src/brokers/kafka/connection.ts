/** How to reach a Kafka cluster, and who we are there. */
import { z } from "zod";
import type { ConnectionType } from "../../component.ts";
import { flag, flags, object, oneOf, oneOrList, secret, text } from "../../config/fields.ts";
import { brokerTls } from "../tls.ts";

/** One variable often holds them all: `a:9092,b:9092`. */
const bootstrap = () => {
  const schema = z.string().regex(/^[^\s,:/@]+:\d{1,5}(,[^\s,:/@]+:\d{1,5})*$/);
  flags.add(schema, {
    expects: "an address as host:port, or several with commas between",
    examples: ["127.0.0.1:9092", "kafka-1:9092,kafka-2:9092"],
  });
  return schema;
};

/** Spread into the schemas of the source and the sink. */
export const connectionShape = {
  brokers: oneOrList(bootstrap()).describe(
    "Where to begin: one or more brokers of the cluster, which tell of the others.",
  ),
  client_id: text().default("leat").describe("What the brokers call us in their logs, quotas and metrics."),
  sasl: object({
    type: oneOf(["plain", "scram-sha-256", "scram-sha-512"]).describe(
      "How the password is sent; `plain` shows it to whoever can listen where there is no `tls`.",
    ),
    user: text().describe("The user's name."),
    password: secret().describe("The user's password."),
  })
    .optional()
    .describe("Credentials, where the brokers ask for any."),
  tls: z
    .union([flag(), brokerTls()])
    .default(false)
    .describe("Whether the brokers speak TLS; `true` with the system's certificates, else a map."),
};

const schema = object(connectionShape);

export type KafkaConnection = z.output<typeof schema>;

export const kafkaConnection: ConnectionType<KafkaConnection> = {
  kind: "connection",
  type: "kafka",
  description: "A Kafka cluster (0.11 and later), or what speaks its protocol, such as Redpanda.",
  schema,
};

/** Each broker by itself. */
export function bootstrapList({ brokers }: Pick<KafkaConnection, "brokers">): string[] {
  return brokers.flatMap((written) => written.split(","));
}
