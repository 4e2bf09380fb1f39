/** What the tests of RabbitMQ share: a client of their own, beside the code under test. */
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import type { Source, Standing } from "../../../src/component.ts";
import { systemClock } from "../../../src/ports.ts";
import { rabbitmqSource } from "../../../src/sources/rabbitmq/source.ts";
import { TestHost } from "../../sources/host.ts";

/** An operator's or another program's client. */
export interface Outside {
  readonly model: ChannelModel;
  readonly channel: ConfirmChannel;
}

export async function outside(t: TestContext, url: string): Promise<Outside> {
  const model = await connect(url);
  model.on("error", () => {});
  const channel = await model.createConfirmChannel();
  channel.on("error", () => {});
  t.after(() => model.close().catch(() => {}));
  return { model, channel };
}

/** A queue of the test's own, removed after it. */
export async function ownQueue(
  t: TestContext,
  { channel }: Outside,
  args: Record<string, unknown> = {},
): Promise<string> {
  const queue = `leat-test-${randomUUID()}`;
  await channel.assertQueue(queue, { arguments: args });
  t.after(() => removeQueue(channel, queue));
  return queue;
}

export async function removeQueue(channel: Channel, queue: string): Promise<void> {
  await channel.deleteQueue(queue).catch(() => {});
}

/** A host whose clock is the system's, since brokers keep no other. */
export class BrokerHost extends TestHost {
  override readonly clock = systemClock;

  get bodies(): string[] {
    return this.appended.map(({ body }) => Buffer.from(body).toString());
  }

  /** How it stands now. */
  get standing(): Standing | undefined {
    return this.standings.at(-1);
  }

  /** The word of each wait so far. */
  get waits(): string[] {
    return this.standings.filter((one) => one.state === "waiting").map(({ error }) => error);
  }
}

/** A source of this configuration, as YAML would have it, started. */
export async function startSource(
  t: TestContext,
  host: BrokerHost,
  config: Record<string, unknown>,
): Promise<Source & { lag(): number | null }> {
  const source = rabbitmqSource.create(rabbitmqSource.schema.parse(config), host);
  await source.start();
  t.after(() => source.stop());
  return source as Source & { lag(): number | null };
}
