/** An MQTT sink on a host of its own, deliveries for it, and a client that reads what it publishes. */
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import mqtt, { type IPublishPacket } from "mqtt";
import type { Message, PushedSink, Report, Standing } from "../../../src/component.ts";
import { packHeaders } from "../../../src/event.ts";
import { systemClock } from "../../../src/ports.ts";
import { mqttSinkSchema } from "../../../src/sinks/mqtt/config.ts";
import { mqttSink } from "../../../src/sinks/mqtt/sink.ts";
import { keptLog } from "../../http/log.ts";
import { waitFor } from "../../wait-for.ts";

export interface Rig {
  readonly sink: PushedSink;
  readonly standings: Standing[];
  connected(): boolean;
  deliver(message: Message, timeoutMs?: number): Promise<Report>;
}

/** `fields` as in the YAML. Started, and stopped when the test ends. */
export async function startSink(t: TestContext, fields: Record<string, unknown>): Promise<Rig> {
  const standings: Standing[] = [];
  const sink = mqttSink.create(mqttSinkSchema.parse(fields), {
    name: "out",
    clock: systemClock,
    log: keptLog().log,
    stands: (standing) => standings.push(standing),
    answerBytes: { failure: 1024, success: 256 },
  });
  await sink.start();
  t.after(() => sink.stop());
  return {
    sink,
    standings,
    connected: () => standings.at(-1)?.state === "connected",
    async deliver(message, timeoutMs = 10_000) {
      const controller = new AbortController();
      const timer = setTimeout(() => controller.abort(), timeoutMs);
      try {
        return await sink.deliver(message, controller.signal);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

export async function connectedSink(t: TestContext, fields: Record<string, unknown>): Promise<Rig> {
  const rig = await startSink(t, fields);
  await waitFor("the sink to be connected", rig.connected);
  return rig;
}

export interface MessageParts {
  readonly body?: string | Uint8Array;
  readonly headers?: readonly [string, string | Uint8Array][];
  readonly contentType?: string | null;
  readonly id?: string;
  readonly type?: string;
  readonly attempt?: number;
}

export function message(topic: string | undefined, parts: MessageParts = {}): Message {
  const {
    body = "{}",
    headers = [],
    contentType = null,
    id = randomUUID(),
    type = "made",
    attempt = 1,
  } = parts;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  return {
    event: {
      seq: 7,
      source: "hook",
      id,
      type,
      subject: "a/b",
      key: null,
      time: 1_700_000_000_000,
      headers: packHeaders(headers),
      body: bytes,
      hops: 2,
      cause: null,
    },
    body: bytes,
    contentType,
    fields: topic === undefined ? {} : { topic },
    route: "r",
    subscription: "r/out",
    attempt,
    replay: 0,
    hops: 3,
  };
}

/** Gets everything below `prefix`, from when it resolves on. */
export async function reader(t: TestContext, url: string, prefix: string): Promise<IPublishPacket[]> {
  const got: IPublishPacket[] = [];
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 });
  t.after(() => {
    client.end(true);
  });
  client.on("message", (_topic, _body, packet) => got.push(packet));
  await client.subscribeAsync(`${prefix}/#`, { qos: 1, rap: true });
  return got;
}
