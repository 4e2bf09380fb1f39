/** An MQTT source on a host of its own, and a client that publishes for it. */
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import mqtt from "mqtt";
import type { Source } from "../../../src/component.ts";
import { unpackHeaders } from "../../../src/event.ts";
import { systemClock } from "../../../src/ports.ts";
import { mqttSourceSchema } from "../../../src/sources/mqtt/config.ts";
import { mqttSource } from "../../../src/sources/mqtt/source.ts";
import { waitFor } from "../../wait-for.ts";
import { TestHost } from "../host.ts";

export class MqttHost extends TestHost {
  override readonly clock = systemClock;

  get bodies(): string[] {
    return this.appended.map(({ body }) => Buffer.from(body).toString());
  }

  get connected(): boolean {
    return this.standings.at(-1)?.state === "connected";
  }

  /** The words of the standings, in order. */
  get words(): string[] {
    return this.standings.map((standing) => (standing.state === "connected" ? "connected" : standing.error));
  }
}

export interface Rig {
  readonly host: MqttHost;
  readonly source: Source;
  /** A prefix that no other test publishes under. */
  readonly prefix: string;
}

export const newPrefix = (): string => `t/${randomUUID()}`;

/** `fields` as in the YAML. Not started. */
export function makeSource(fields: Record<string, unknown>, host = new MqttHost()): Rig {
  const config = mqttSourceSchema.parse({ client_id: `test-${randomUUID()}`, ...fields });
  return { host, source: mqttSource.create(config, host), prefix: "" };
}

/** Started, connected, and stopped when the test ends. `topics` are below a prefix of its own. */
export async function startSource(
  t: TestContext,
  { topics = ["#"], ...fields }: Record<string, unknown> & { topics?: string[] },
  { host = new MqttHost(), prefix = newPrefix() } = {},
): Promise<Rig> {
  const rig = makeSource({ topics: topics.map((topic) => `${prefix}/${topic}`), ...fields }, host);
  await rig.source.start();
  t.after(() => rig.source.stop());
  await waitFor("the source to be connected", () => host.connected);
  return { ...rig, prefix };
}

/** A client that publishes; ended when the test ends. */
export async function publisher(
  t: TestContext,
  url: string,
  options: mqtt.IClientOptions = {},
): Promise<mqtt.MqttClient> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, reconnectPeriod: 100, ...options });
  // Its promise never settles for a client that the broker has thrown out.
  t.after(() => {
    client.end(true);
  });
  return client;
}

export function headersOf({ headers }: { headers: Uint8Array }): [string, string][] {
  return unpackHeaders(headers).map(([name, value]) => [name, Buffer.from(value).toString()]);
}
