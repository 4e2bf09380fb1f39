/** What an `mqtt` source takes in the YAML. */
import { z } from "zod";
import { connectionShape, tlsNeedsSecureUrl } from "../../brokers/mqtt/connection.ts";
import { filterProblem } from "../../brokers/mqtt/topics.ts";
import { duration, integer, object, oneOf, oneOrList, text } from "../../config/fields.ts";

const filter = () =>
  text().superRefine((written, context) => {
    const problem = filterProblem(written);
    if (problem === null) return;
    context.addIssue({
      code: "custom",
      message: `${problem}, and so is no topic filter`,
      params: { remedy: "write it as sensors/+/temperature, sensors/#, or $share/group/sensors/#" },
    });
  });

/** The broker counts it in seconds, in 32 bits. */
const SESSION_MOST_MS = 0xffff_fffe * 1000;

export const mqttSourceSchema = object({
  ...connectionShape,
  topics: oneOrList(filter()).describe(
    "Topic filters to subscribe to: `sensors/+/temperature`, `sensors/#`, or `$share/<group>/<filter>` to share the messages with other clients.",
  ),
  qos: z
    .literal([0, 1, 2])
    .default(1)
    .describe(
      "1: what comes while Leat is away, or dies, is kept at the broker. 0: it isn't. 2 is served as 1: a message may come twice.",
    ),
  client_id: text()
    .optional()
    .describe(
      "The name of the session at the broker. Default: `leat-<source>-<mark>`, with the journal's own mark, so that no two Leats share one.",
    ),
  session_expiry: duration()
    .refine((ms) => ms >= 1_000 && ms <= SESSION_MOST_MS, {
      message: "is not from 1s to 49710d",
      params: { remedy: "leave it out, or write 7d" },
    })
    .prefault("7d")
    .describe(
      "How long the broker keeps the session, and what came for it, while Leat is away. With 3.1.1 the broker decides.",
    ),
  receive_maximum: integer(1, 65_535)
    .default(1_000)
    .describe("How many messages may be on their way to the disk before the broker has to wait."),
  oversize: oneOf(["refuse", "hold"])
    .default("refuse")
    .describe(
      "A message over a limit: `refuse` keeps its beginning as refused, raises a `leat` event and goes on; `hold` stops the source until a person acts.",
    ),
}).superRefine(tlsNeedsSecureUrl);

export type MqttSourceConfig = z.output<typeof mqttSourceSchema>;
