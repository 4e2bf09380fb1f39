/** What the tests of RabbitMQ share: a client of their own, beside the code under test. */
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import type { Message, PushedSink, Report, Source, Standing } from "../../../src/component.ts";
import { type Clock, systemClock } from "../../../src/ports.ts";
import { rabbitmqSink } from "../../../src/sinks/rabbitmq/sink.ts";
import { rabbitmqSource } from "../../../src/sources/rabbitmq/source.ts";
import { silent } from "../../delivery/kit.ts";
import { message } from "../../sinks/webhook/kit.ts";
import { TestHost } from "../../sources/host.ts";

/** An operator's or another program's client. */
export interface Outside {
  readonly model: ChannelModel;
  readonly channel: ConfirmChannel;
  /** Done at the end of the test, the last one first, while the client is still connected. */
  undo(what: () => Promise<unknown>): void;
}

export async function outside(t: TestContext, url: string): Promise<Outside> {
  const model = await connect(url);
  model.on("error", () => {});
  const channel = await model.createConfirmChannel();
  channel.on("error", () => {});
  const undoing: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const undo of undoing.toReversed()) await undo().catch(() => {});
    await model.close().catch(() => {});
  });
  return { model, channel, undo: (what) => undoing.push(what) };
}

/** A queue of the test's own, removed after it. */
export async function ownQueue(
  { channel, undo }: Outside,
  args: Record<string, unknown> = {},
): Promise<string> {
  const queue = `leat-test-${randomUUID()}`;
  await channel.assertQueue(queue, { arguments: args });
  undo(() => channel.deleteQueue(queue));
  return queue;
}

/** A host whose clock is the system's, since brokers keep no other. */
export class BrokerHost extends TestHost {
  /** Milliseconds that the monotonic clock is ahead. */
  ahead = 0;
  override readonly clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + this.ahead,
  };

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

/** A sink under test, and what it said of its broker. */
export interface TestSink {
  readonly standings: Standing[];
  /** Delivers with a generous time-out. */
  deliver(fields: Record<string, string>, over?: Partial<Message>, timeoutMs?: number): Promise<Report>;
  stop(): Promise<void>;
}

/** A sink of this configuration, as YAML would have it, started. */
export async function startSink(t: TestContext, config: Record<string, unknown>): Promise<TestSink> {
  const standings: Standing[] = [];
  const sink: PushedSink = rabbitmqSink.create(rabbitmqSink.schema.parse(config), {
    name: "out",
    clock: systemClock,
    log: silent,
    answerBytes: { failure: 1024, success: 256 },
    stands: (standing) => standings.push(standing),
  });
  await sink.start();
  t.after(() => sink.stop());
  return {
    standings,
    deliver: (fields, over = {}, timeoutMs = 20_000) =>
      sink.deliver(message({ ...over, fields }), AbortSignal.timeout(timeoutMs)),
    stop: () => sink.stop(),
  };
}
