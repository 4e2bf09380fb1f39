/** How to reach a RabbitMQ, and who we are there. */
import { z } from "zod";
import type { ConnectionType } from "../../component.ts";
import { duration, flags, object, oneOrList, secret, text } from "../../config/fields.ts";
import { brokerTls } from "../tls.ts";
import { addressProblem } from "./url.ts";

/** AMQP counts it in seconds, in 16 bits; 0 would mean none, and then nobody notices a broker that stands still. */
const HEARTBEAT_MOST_MS = 65_535_000;

const amqpUrl = () => {
  const schema = z.string().superRefine((written, context) => {
    const problem = addressProblem(written);
    if (problem === null) return;
    context.addIssue({ code: "custom", message: problem.message, params: { remedy: problem.remedy } });
  });
  flags.add(schema, {
    expects: "an amqp or amqps URL",
    examples: ["amqp://127.0.0.1", "amqps://rabbitmq.example.com/shop"],
  });
  return schema;
};

/** Spread into the schemas of the source and the sink. */
export const connectionShape = {
  url: oneOrList(amqpUrl()).describe(
    "`amqp://` (port 5672) or `amqps://` (5671), with the virtual host as its path; a list for a cluster, whose nodes are tried in turn. Username and password may stand in it.",
  ),
  username: text().optional().describe("The user's name, if not in the URL; left out in both, `guest`."),
  password: secret().optional().describe("The user's password, if not in the URL."),
  vhost: text().optional().describe("The virtual host, if not in the URL; left out in both, `/`."),
  heartbeat: duration()
    .refine((ms) => ms >= 1_000 && ms <= HEARTBEAT_MOST_MS && ms % 1_000 === 0, {
      message: "is not from 1s to 65535s in whole seconds",
      params: { remedy: "leave it out, or write 10s" },
    })
    .prefault("10s")
    .describe("A broker that is silent for two of them is given up and connected to anew."),
  tls: brokerTls().optional().describe("For `amqps://` with certificates of your own."),
};

const schema = object(connectionShape);

export type RabbitmqConnectionConfig = z.output<typeof schema>;

export const rabbitmqConnection: ConnectionType<RabbitmqConnectionConfig> = {
  kind: "connection",
  type: "rabbitmq",
  description: "A RabbitMQ broker or cluster, by AMQP 0-9-1.",
  schema,
};
