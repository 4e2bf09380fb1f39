import mqtt, { type MqttClient } from "mqtt";
import { startMosquitto } from "../../brokers/mosquitto.ts";
import { startProxy } from "../../brokers/proxy.ts";
import { type Family, type Place, type Read, Renewed, within } from "./family.ts";

export const mqttFamily: Family = { name: "mqtt", open };

async function open(): Promise<Place> {
  const broker = await startMosquitto();
  const proxy = await startProxy(broker.port);
  const sender = new Renewed<MqttClient>(
    () => within(5_000, mqtt.connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 0 })),
    (client) => client.endAsync(true),
  );

  const read: Read[] = [];
  const reader = mqtt.connect(broker.url, {
    protocolVersion: 5,
    clientId: "reader",
    clean: false,
    properties: { sessionExpiryInterval: 3_600 },
    reconnectPeriod: 100,
  });
  reader.on("error", () => {});
  reader.on("message", (_topic, body, packet) => {
    const leatId = packet.properties?.userProperties?.["leat-id"];
    read.push({ id: (JSON.parse(`${body}`) as { id: string }).id, leatId: String(leatId) });
  });
  await reader.subscribeAsync("out", { qos: 1 });

  const url = `mqtt://127.0.0.1:${proxy.port}`;
  return {
    broker,
    proxy,
    // What comes again after a cut has no id of its own in MQTT: the sender's makes it a known duplicate.
    source: (topic, more = "") => `{ type: mqtt, url: "${url}", topics: [${topic}], id: body.id${more} }`,
    sink: (topic) => `{ type: mqtt, url: "${url}", topic: ${topic} }`,
    send: (id, topic = "in") =>
      sender.with(async (client) => {
        await within(5_000, client.publishAsync(topic, JSON.stringify({ id }), { qos: 1 }));
      }),
    read,
    async close() {
      await sender.close();
      await reader.endAsync(true);
      await proxy.close();
      await broker.close();
    },
  };
}
