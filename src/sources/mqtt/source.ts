/**
 * The MQTT source: subscribes, appends what comes, and acknowledges each message once it is on disk.
 *
 * Its session at the broker outlives its connections and its process, so that what comes in the meantime is kept there.
 * Each connection is one life (`supervise.ts`) with a client of its own: what one life has not acknowledged the broker
 * sends again in the next, marked as a repeat, and no acknowledgement of an old life can reach a new one.
 */
import { type Connection, openConnection } from "../../brokers/mqtt/client.ts";
import { brokerAddress, mqttConnection } from "../../brokers/mqtt/connection.ts";
import { takeTurn } from "../../brokers/mqtt/sessions.ts";
import { filterMatches } from "../../brokers/mqtt/topics.ts";
import { type Supervised, supervise } from "../../brokers/supervise.ts";
import { whenAborted } from "../../brokers/wait.ts";
import type { Source, SourceHost, SourceType } from "../../component.ts";
import { systemChance } from "../../ports.ts";
import { tell } from "../tell.ts";
import { type MqttSourceConfig, mqttSourceSchema } from "./config.ts";
import { Intake } from "./intake.ts";
import { SessionNotes } from "./session-note.ts";
import { bringInLine } from "./subscribe.ts";

const SESSION_LOST =
  "the broker has forgotten our session: what came since the connection was lost is gone (see session_expiry, and whether the broker keeps its sessions on disk)";

class MqttSource implements Source {
  readonly #config: MqttSourceConfig;
  readonly #host: SourceHost;
  readonly #clientId: string;
  #supervised: Supervised | null = null;
  readonly #session: string;
  readonly #notes: SessionNotes;

  constructor(config: MqttSourceConfig, host: SourceHost) {
    this.#config = config;
    this.#host = host;
    this.#clientId = config.client_id ?? `leat-${host.name}-${host.mark}`;
    this.#session = `${config.url} ${this.#clientId}`;
    this.#notes = new SessionNotes(host, this.#session);
  }

  async start(): Promise<void> {
    const { clock, log } = this.#host;
    const stands: SourceHost["stands"] = (standing) => this.#host.stands(standing);
    this.#supervised = supervise({ clock, chance: systemChance, log, stands }, (up, signal) =>
      this.#live(up, signal),
    );
  }

  async stop(): Promise<void> {
    await this.#supervised?.stop();
  }

  async #live(up: () => void, signal: AbortSignal): Promise<void> {
    const turn = await takeTurn(this.#session, this.#host.clock, signal);
    try {
      await this.#converse(up, signal);
    } finally {
      turn.end();
    }
  }

  async #converse(up: () => void, signal: AbortSignal): Promise<void> {
    const config = this.#config;
    const { keepalive: keepaliveMs, oversize, receive_maximum: receiveMaximum } = config;
    const intake = new Intake(this.#host, { keepaliveMs, oversize, receiveMaximum }, signal);
    const connection = await openConnection(
      config,
      {
        clientId: this.#clientId,
        sessionSeconds: Math.floor(config.session_expiry / 1000),
        receiveMaximum,
        clock: this.#host.clock,
        onMessage: intake.onMessage,
      },
      signal,
    );
    const ended = Promise.race([connection.over, whenAborted(signal)]);
    try {
      await Promise.race([this.#begin(connection).then(up), ended]);
      await ended;
    } finally {
      await intake.end();
      await connection.close();
    }
    throw await connection.over;
  }

  /** Rejects with a BrokerError where a subscription is denied. */
  async #begin({ client, connack }: Connection): Promise<void> {
    const { topics: filters, version, qos: asked } = this.#config;
    const qos = asked === 0 ? 0 : 1;
    const resumed = connack.sessionPresent;
    if (!resumed && this.#notes.current.granted !== null) {
      this.#host.stands({ state: "waiting", error: "session_lost", message: SESSION_LOST });
      // How it stands says so for a moment only: what is lost is kept where a person finds it.
      const { name: source } = this.#host;
      const address = brokerAddress(this.#config.url);
      void tell(this.#host, { source, reason: "session_lost", address, detail: SESSION_LOST, body: null });
    }
    const less = await bringInLine(client, { filters, qos, version }, this.#notes, resumed);
    if (less.length > 0) {
      this.#host.log.warn(
        { topics: less },
        "the broker grants QoS 0 only: messages may be lost on their way to us",
      );
    }
  }
}

export const mqttSource: SourceType<MqttSourceConfig> = {
  kind: "source",
  type: "mqtt",
  description: "Messages of an MQTT broker's topics, acknowledged once they are on disk.",
  schema: mqttSourceSchema,
  connection: mqttConnection,
  largeBodies: true,
  reads({ url, topics }, address) {
    const broker = `${brokerAddress(url)} `;
    return (
      address.startsWith(broker) &&
      topics.some((filter) => filterMatches(filter, address.slice(broker.length)))
    );
  },
  create: (config, host) => new MqttSource(config, host),
};
