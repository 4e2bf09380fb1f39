/** Questions to a cluster, each by a client of its own that ends with the answer: nothing of it can go stale. */
import type { Logger } from "../../ports.ts";
import { type Client, openClient } from "./client.ts";
import type { KafkaConnection } from "./connection.ts";
import { asBrokerError } from "./failure.ts";

export interface Looking {
  /** The names of all topics that the user may see. */
  topics(): Promise<string[]>;
  /** Why a topic can't be seen: the protocol's error; resolves where it can be. */
  topic(name: string): Promise<void>;
  /** How many records of each partition there have been. */
  ends(topic: string): Promise<ReadonlyMap<number, number>>;
}

/**
 * @param what for people: what is asked for, if it isn't the brokers themselves.
 * @throws BrokerError, at once: nothing is tried twice.
 */
export async function look<T>(
  connection: KafkaConnection,
  log: Logger,
  signal: AbortSignal,
  ask: (looking: Looking) => Promise<T>,
  what?: string,
): Promise<T> {
  const client: Client = openClient(connection, { log, retries: 0 });
  const cut = () => client.destroy();
  signal.addEventListener("abort", cut, { once: true });
  const admin = client.kafka.admin();
  try {
    await admin.connect();
    return await ask({
      topics: () => admin.listTopics(),
      topic: async (name) => void (await admin.fetchTopicMetadata({ topics: [name] })),
      ends: async (topic) => {
        const offsets = await admin.fetchTopicOffsets(topic);
        return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]));
      },
    });
  } catch (error) {
    throw asBrokerError(error, what ?? client.where);
  } finally {
    signal.removeEventListener("abort", cut);
    client.destroy();
    await admin.disconnect().catch(() => {});
  }
}
