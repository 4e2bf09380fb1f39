import amqp, { type ChannelModel, type ConfirmChannel } from "amqplib";
import { startProxy } from "../../brokers/proxy.ts";
import { startRabbitmq } from "../../brokers/rabbitmq.ts";
import { type Family, NAMES, type Place, type Read, Renewed, within } from "./family.ts";

export const rabbitmqFamily: Family = { name: "rabbitmq", open };

interface Sender {
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
}

async function open(): Promise<Place> {
  const broker = await startRabbitmq();
  const proxy = await startProxy(broker.port);
  const connect = () => {
    const connecting = amqp.connect(broker.url);
    // Also of one that nobody waits for any more: a broker that stood still comes to it later.
    const heard = connecting.then((connection) => connection.on("error", () => {}));
    return within(5_000, heard).catch((error: unknown) => {
      connecting.then((connection) => connection.close()).catch(() => {});
      throw error;
    });
  };
  const sender = new Renewed<Sender>(
    async () => {
      const connection = await connect();
      const channel = await connection.createConfirmChannel();
      channel.on("error", () => {});
      return { connection, channel };
    },
    ({ connection }) => within(1_000, connection.close()),
  );
  await sender.with(async ({ channel }) => {
    for (const queue of NAMES) {
      await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
    }
  });

  const read: Read[] = [];
  const reader = startReader(connect, read);
  const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`;
  return {
    broker,
    proxy,
    source: (queue, more = "") => `{ type: rabbitmq, url: "${url}", queue: ${queue}${more} }`,
    sink: (queue) => `{ type: rabbitmq, url: "${url}", routing_key: ${queue} }`,
    send: (id, queue = "in") =>
      sender.with(({ channel }) => {
        const confirmed = new Promise<void>((resolve, reject) => {
          const done = (error: unknown) => (error ? reject(error) : resolve());
          const options = { persistent: true, messageId: id, contentType: "application/json" };
          channel.sendToQueue(queue, Buffer.from(JSON.stringify({ id })), options, done);
        });
        return within(5_000, confirmed);
      }),
    read,
    async close() {
      await sender.close();
      await reader.stop();
      await proxy.close();
      await broker.close();
    },
  };
}

/** Reads `out` and acknowledges; comes back as often as it must. */
function startReader(connect: () => Promise<ChannelModel>, read: Read[]) {
  let stopped = false;
  let current: ChannelModel | null = null;
  const life = async () => {
    const connection = await connect();
    current = connection;
    const over = new Promise((resolve) => connection.once("close", resolve));
    if (stopped) return;
    const channel = await connection.createChannel();
    channel.on("error", () => {});
    await channel.prefetch(100);
    await channel.consume("out", (message) => {
      if (message === null) {
        connection.close().catch(() => {});
        return;
      }
      const { id } = JSON.parse(message.content.toString()) as { id: string };
      read.push({ id, leatId: String(message.properties.headers?.["leat-id"]) });
      channel.ack(message);
    });
    await over;
  };
  const run = async () => {
    while (!stopped) {
      await life().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const ended = run();
  return {
    async stop() {
      stopped = true;
      await within(1_000, Promise.resolve(current?.close())).catch(() => {});
      await within(5_000, ended).catch(() => {});
    },
  };
}
