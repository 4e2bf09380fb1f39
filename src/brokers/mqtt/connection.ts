/** How to reach an MQTT broker, and who we are there. */
import { z } from "zod";
import type { ConnectionType } from "../../component.ts";
import { duration, flags, object, secret, text } from "../../config/fields.ts";
import { type BrokerTls, brokerTls } from "../tls.ts";

/** MQTT counts it in seconds, in 16 bits. */
const KEEPALIVE_MOST_MS = 65_535_000;

const brokerUrl = () => {
  const schema = z.string().superRefine((written, context) => {
    const problem = urlProblem(written);
    if (problem === null) return;
    const [message, remedy] = problem;
    context.addIssue({ code: "custom", message, params: { remedy } });
  });
  flags.add(schema, {
    expects: "an mqtt, mqtts, ws or wss URL",
    examples: ["mqtt://127.0.0.1:1883", "mqtts://broker.example.com:8883"],
  });
  return schema;
};

/** The value is not repeated: what shouldn't be in it may be a password. */
function urlProblem(written: string): [message: string, remedy: string] | null {
  const url = URL.canParse(written) ? new URL(written) : null;
  if (url === null || !/^(mqtts?|wss?):$/.test(url.protocol) || url.hostname === "") {
    return [
      "is no mqtt, mqtts, ws or wss URL",
      "write it as mqtt://127.0.0.1:1883 or mqtts://broker.example.com:8883",
    ];
  }
  if (url.username !== "" || url.password !== "") {
    return ["holds a user or a password", "write them as username: and password:"];
  }
  if (url.search !== "" || url.hash !== "") {
    return ["has a query or a fragment", "take everything from the ? or # on away"];
  }
  if (url.protocol.startsWith("mqtt") && url.pathname !== "" && url.pathname !== "/") {
    return ["has a path", "only ws and wss URLs have one"];
  }
  return null;
}

/** Spread into the schemas of the source and the sink. */
export const connectionShape = {
  url: brokerUrl().describe("The broker's address: `mqtt:` (port 1883), `mqtts:` (8883), `ws:` or `wss:`."),
  version: z
    .literal([5, "3.1.1"])
    .default(5)
    .describe("The version of MQTT. 3.1.1 has no user properties, and tells less of what went wrong."),
  username: text().optional().describe("The user's name at the broker."),
  password: secret().optional().describe("The user's password."),
  keepalive: duration()
    .refine((ms) => ms >= 1_000 && ms <= KEEPALIVE_MOST_MS && ms % 1_000 === 0, {
      message: "is not from 1s to 65535s in whole seconds",
      params: { remedy: "leave it out, or write 30s" },
    })
    .prefault("30s")
    .describe("A broker that is silent for one and a half times as long is given up and connected to anew."),
  tls: brokerTls().optional().describe("For `mqtts:` and `wss:` with certificates of your own."),
};

/** Of a connection, a source or a sink: a `tls:` that changes nothing would leave the password in the open. */
export function tlsNeedsSecureUrl(
  { url, tls }: { url: string; tls?: BrokerTls | undefined },
  context: z.RefinementCtx,
): void {
  if (tls === undefined || /^(mqtts|wss):/.test(url)) return;
  context.addIssue({
    code: "custom",
    path: ["tls"],
    message: "stands beside a URL without TLS",
    params: { remedy: "write the url with mqtts: or wss:, or take tls: away" },
  });
}

const schema = object(connectionShape).superRefine(tlsNeedsSecureUrl);

export type MqttConnectionConfig = z.output<typeof schema>;

export const mqttConnection: ConnectionType<MqttConnectionConfig> = {
  kind: "connection",
  type: "mqtt",
  description: "An MQTT broker, such as Mosquitto, EMQX, HiveMQ or AWS IoT Core.",
  schema,
};

/** The broker as one string, alike in every configuration that reaches it by the same name: for `reads` and `writes`. */
export function brokerAddress(written: string): string {
  const { protocol, hostname, port } = new URL(written);
  const usual = { "mqtt:": "1883", "mqtts:": "8883", "ws:": "80", "wss:": "443" }[protocol];
  return `mqtt ${hostname}:${port === "" ? usual : port}`;
}
