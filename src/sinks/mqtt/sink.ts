/** The MQTT sink: publishes each event, and counts it as delivered on the broker's confirm. */
import { randomUUID } from "node:crypto";
import { openConnection } from "../../brokers/mqtt/client.ts";
import { brokerAddress, mqttConnection } from "../../brokers/mqtt/connection.ts";
import { BrokerError, type Supervised, supervise } from "../../brokers/supervise.ts";
import { Waiters, whenAborted } from "../../brokers/wait.ts";
import type {
  Message,
  PushedSink,
  PushedSinkHost,
  PushedSinkType,
  Report,
  Standing,
} from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { type MqttSinkConfig, mqttSinkSchema } from "./config.ts";
import { Outlet } from "./outlet.ts";
import { type Publication, publicationOf, Unpublishable } from "./publication.ts";

class MqttSink implements PushedSink {
  readonly #config: MqttSinkConfig;
  readonly #host: PushedSinkHost;
  #supervised: Supervised | null = null;
  /** Null while there is no connection. */
  #outlet: Outlet | null = null;
  /** Deliveries that wait for one: the broker may be back in a moment. */
  readonly #waiters = new Waiters();
  #standing: Standing | null = null;

  constructor(config: MqttSinkConfig, host: PushedSinkHost) {
    this.#config = config;
    this.#host = host;
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands = (standing: Standing) => {
      this.#standing = standing;
      this.#host.stands(standing);
    };
    this.#supervised = supervise({ clock, chance: systemChance, log, stands }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async stop(): Promise<void> {
    await this.#supervised?.stop();
  }

  async deliver(message: Message, signal: AbortSignal): Promise<Report> {
    let publication: Publication;
    try {
      publication = publicationOf(message, this.#config);
    } catch (error) {
      if (!(error instanceof Unpublishable)) throw error;
      return { result: "rejected", error: error.error, message: error.message };
    }
    for (let first = true; ; first = false) {
      while (!signal.aborted && (this.#outlet === null || this.#outlet.over))
        await this.#waiters.wait(signal);
      const outlet = this.#outlet;
      if (outlet === null || signal.aborted) return this.#notConnected();
      const report = await outlet.publish(publication, signal);
      // Where the connection went before the confirm came, once more over the next one: a wait for a retry would hold
      // back all events of the same key. Only once, for it may be this message that the broker closes connections at.
      if (!first || report.result !== "failed" || !outlet.over || signal.aborted) return report;
    }
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    const { client_id: clientId = `leat-${randomUUID().slice(0, 18)}`, qos, retain } = this.#config;
    const connection = await openConnection(
      this.#config,
      { clientId, sessionSeconds: 0, clock: this.#host.clock },
      signal,
    );
    try {
      const { maximumQoS = 2, retainAvailable = true } = connection.connack.properties ?? {};
      if (qos > maximumQoS) throw unable("QoS 1: write qos: 0, and know that messages may be lost");
      if (retain && !retainAvailable) throw unable("retained messages: take retain: away");
      this.#outlet = new Outlet(connection, { qos, retain });
      up();
      this.#waiters.wakeAll();
      await Promise.race([connection.over, whenAborted(signal)]);
    } finally {
      this.#outlet = null;
      await connection.close();
    }
    throw await connection.over;
  }

  #notConnected(): Report {
    if (this.#standing?.state === "waiting") {
      const { error, message } = this.#standing;
      return { result: "failed", error, message: `no connection to the broker: ${message}` };
    }
    return { result: "failed", error: "timeout", message: "no connection to the broker in time" };
  }
}

function unable(what: string): BrokerError {
  return new BrokerError("unsupported", `the broker has no ${what}`, { calm: true });
}

export const mqttSink: PushedSinkType<MqttSinkConfig> = {
  kind: "pushed",
  type: "mqtt",
  description:
    "Publishes each event to a topic of an MQTT broker, delivered once the broker has confirmed it.",
  schema: mqttSinkSchema,
  templates: ["topic"],
  connection: mqttConnection,
  concurrency: 100,
  writes({ url }, { topic }) {
    return topic === undefined || topic.includes("{{") ? null : `${brokerAddress(url)} ${topic}`;
  },
  givesBack: () => false,
  create: (config, host) => new MqttSink(config, host),
};
