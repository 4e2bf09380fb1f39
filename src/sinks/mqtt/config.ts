/** What an `mqtt` sink takes in the YAML. */
import { z } from "zod";
import { connectionShape, tlsNeedsSecureUrl } from "../../brokers/mqtt/connection.ts";
import { topicProblem } from "../../brokers/mqtt/topics.ts";
import { flag, object, template, text } from "../../config/fields.ts";
import { propertyProblem } from "./properties.ts";

/** What stands between its `{{ }}` can be judged at once; the whole is, once it is filled in. */
const topicTemplate = () =>
  template().superRefine((written, context) => {
    const problem = topicProblem(written.replace(/\{\{.*?\}\}/gs, "x"));
    if (problem === null) return;
    context.addIssue({
      code: "custom",
      message: `${problem}, and so is no topic to publish to`,
      params: { remedy: "write it as sensors/{{ key }}/alerts" },
    });
  });

const properties = z.record(z.string(), z.string()).superRefine((written, context) => {
  for (const [name, value] of Object.entries(written)) {
    const problem = propertyProblem(name, value);
    if (problem === null) continue;
    context.addIssue({
      code: "custom",
      path: [name],
      message: problem,
      params: { remedy: "choose another name or value" },
    });
  }
});

export const mqttSinkSchema = object({
  ...connectionShape,
  topic: topicTemplate()
    .optional()
    .describe("Where to publish: `alerts/{{ key }}`. It may stand in a route's `to` instead."),
  qos: z
    .literal([0, 1])
    .default(1)
    .describe(
      "1: delivered once the broker has confirmed. 0: once it is written to the connection; it may be lost there.",
    ),
  retain: flag()
    .default(false)
    .describe("The broker keeps the last message of each topic for those who subscribe later."),
  client_id: text()
    .optional()
    .describe("Our name at the broker, where its rules go by it. Default: a new one for each connection."),
  user_properties: properties
    .default({})
    .describe("User properties to send with every message, as they stand. Not with 3.1.1."),
  forward_headers: z
    .array(text())
    .default([])
    .describe("Names of the event's own headers to pass on as user properties. Not with 3.1.1."),
  cloudevents: flag()
    .default(false)
    .describe(
      "Adds the CloudEvents attributes as user properties (`id`, `source`, `type`, `time`, `subject`), as its MQTT binding says. Not with 3.1.1.",
    ),
})
  .superRefine(tlsNeedsSecureUrl)
  .superRefine((it, context) => {
    if (it.version !== "3.1.1") return;
    const asked = [
      ["user_properties", Object.keys(it.user_properties).length > 0],
      ["forward_headers", it.forward_headers.length > 0],
      ["cloudevents", it.cloudevents],
    ] as const;
    for (const [field, wanted] of asked) {
      if (!wanted) continue;
      const params = { remedy: "write version: 5, or leave it out" };
      const message = "can't be sent with MQTT 3.1.1, which has no user properties";
      context.addIssue({ code: "custom", path: [field], message, params });
    }
  });

export type MqttSinkConfig = z.output<typeof mqttSinkSchema>;
