/**
 * One Leat with a source of each broker, disturbed again and again under load from all of them. The ledger is independent:
 * what the broker confirmed to an outside sender, against what an outside receiver got.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type Daemon, makeDaemon, makeReceiver, type Received } from "../../e2e/daemon.ts";
import { waitFor } from "../../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "../identity.ts";
import { recordLedger } from "../ledger.ts";
import { seeded } from "../seed.ts";
import type { Place } from "./family.ts";
import { kafkaFamily } from "./kafka-place.ts";
import { mqttFamily } from "./mqtt-place.ts";
import { rabbitmqFamily } from "./rabbitmq-place.ts";

const FAMILIES = [kafkaFamily, mqttFamily, rabbitmqFamily];
const SENDERS = 4;
/** Each sender's pause, so that the processor is left to who is tested. */
const PAUSE_MS = 10;
/** What of each source may be on its way: a slow machine would never be done with more. */
const MOST_ON_THE_WAY = 2_000;

/** One source's side of the ledger. */
class Account {
  readonly source: string;
  readonly place: Place;
  readonly promised = new Set<string>();
  /** The sender's ids, each with the ids that Leat gave it. */
  readonly received = new Map<string, Set<unknown>>();
  deliveries = 0;
  unsure = 0;
  #stopped = false;
  readonly #senders: Promise<void>[] = [];

  constructor(source: string, place: Place) {
    this.source = source;
    this.place = place;
  }

  begin(): void {
    for (let n = 0; n < SENDERS; n++) this.#senders.push(this.#send());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#senders);
  }

  /** Of a request that came from this source. */
  receive({ body, headers }: Received): void {
    const { id } = JSON.parse(body) as { id: string };
    this.deliveries++;
    this.received.set(id, (this.received.get(id) ?? new Set()).add(headers["webhook-id"]));
  }

  get missing(): string[] {
    return [...this.promised].filter((id) => !this.received.has(id));
  }

  async #send(): Promise<void> {
    for (; !this.#stopped; await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))) {
      if (this.promised.size - this.received.size > MOST_ON_THE_WAY) continue;
      const id = randomUUID();
      try {
        await this.place.send(id);
        this.promised.add(id);
      } catch {
        this.unsure++;
      }
    }
  }
}

/** Kafka's brokers wait for so long until they give the partitions of a killed consumer to its successor. */
const SOONER = "session_timeout: 1s";

function withFields(source: string, yaml: string, fields: string): string {
  return yaml.replace(/ }$/, `, ${source === "kafka" ? `${SOONER}, ` : ""}${fields} }`);
}

async function allConnected(admin: string): Promise<boolean> {
  const { sources } = (await (await fetch(`${admin}/api/sources`)).json()) as {
    sources: { broker: { state: string } | null }[];
  };
  return sources.length === FAMILIES.length && sources.every(({ broker }) => broker?.state === "connected");
}

export interface Disturbed {
  readonly daemon: Daemon;
  /** Writes the configuration with these fields on each source. */
  writeSources(fields: string): void;
}

/** What is done to Leat, again and again; it is to run when it resolves. */
export type Disturb = (disturbed: Disturbed) => Promise<void>;

export const kill: Disturb = async ({ daemon }) => {
  daemon.signal("SIGKILL");
  assert.equal(await daemon.ended(), "SIGKILL");
  await daemon.start();
};

export const restart: Disturb = async ({ daemon }) => {
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0);
  await daemon.start();
};

let reloads = 0;

/** Each source is another one afterwards. */
export const reload: Disturb = async ({ daemon, writeSources }) => {
  writeSources(reloads++ % 2 === 0 ? "decode: json" : "decode: auto");
  const response = await fetch(`${daemon.admin}/api/reload`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  assert.equal(response.status, 200, await response.text());
};

/** All or none: one that doesn't start leaves no other behind. */
async function openAll(): Promise<Account[]> {
  const opened = await Promise.allSettled(
    FAMILIES.map(async ({ name, open }) => new Account(name, await open())),
  );
  const accounts = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failed = opened.find((one) => one.status === "rejected");
  if (failed === undefined) return accounts;
  await Promise.all(accounts.map(({ place }) => place.close()));
  throw failed.reason;
}

/** Holds Leat to it: nothing lost, repeats only with the same id. Records a ledger with the figures of each source. */
export async function disturbOften(
  t: TestContext,
  what: string,
  disturb: Disturb,
  times: number,
): Promise<void> {
  const { seed, chance } = seeded(t);
  const accounts = await openAll();
  const receiver = await makeReceiver();
  receiver.answer = (got) => {
    accounts.find(({ source }) => source === got.headers["leat-source"])?.receive(got);
    return 200;
  };
  const yaml = (fields: string) => `
sources:
${accounts.map(({ source, place }) => `  ${source}: ${withFields(source, place.source("in"), fields)}`).join("\n")}
sinks:
  out: { type: webhook, url: "${receiver.url}/hook", retry: { initial: 100ms, max_wait: 1s } }
routes:
  all: { from: [${accounts.map(({ source }) => source).join(", ")}], to: out }
`;
  const daemon = await makeDaemon(yaml("decode: auto"));
  t.after(async () => {
    // The senders first: one that goes on would open a new client to a broker that is gone.
    await Promise.all(accounts.map((account) => account.stop()));
    await daemon.close();
    await receiver.close();
    await Promise.all(accounts.map(({ place }) => place.close()));
  });
  await daemon.start();
  // What MQTT is sent before the first subscription is for nobody.
  await waitFor("every source to have its broker", () => allConnected(daemon.admin), 60_000);
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());
  for (const account of accounts) account.begin();

  /** What people would look at first. */
  const picture = async () => {
    const ask = (path: string) =>
      fetch(`${daemon.admin}/api/${path}`).then((answer) => answer.text(), String);
    const figures = accounts.map(({ source, promised, received, missing }) => {
      const first = missing.slice(0, 3).join(", ");
      return `${source}: ${promised.size} promised, ${received.size} received, ${missing.length} missing: ${first}`;
    });
    const asked = await Promise.all(["sources", "subscriptions", "refusals"].map(ask));
    return [...figures, ...asked, daemon.output().slice(-8_000)].join("\n");
  };
  const patiently = async (what: string, condition: () => boolean, timeoutMs: number) => {
    try {
      await waitFor(what, condition, timeoutMs);
    } catch (cause) {
      throw new Error(`${what}:\n${await picture()}`, { cause });
    }
  };

  const disturbed: Disturbed = { daemon, writeSources: (fields) => daemon.writeConfig(yaml(fields)) };
  for (let n = 1; n <= times; n++) {
    const before = accounts.map(({ received }) => received.size);
    await patiently(
      `each source's load before ${what} ${n}`,
      () => accounts.every(({ received }, at) => received.size >= (before[at] ?? 0) + 20),
      60_000,
    );
    await new Promise((resolve) => setTimeout(resolve, chance.below(100)));
    await disturb(disturbed);
  }

  await Promise.all(accounts.map((account) => account.stop()));
  await patiently(
    "every confirmed message at the receiver",
    () => accounts.every((account) => account.missing.length === 0),
    120_000,
  );
  const figures: Record<string, number> = {};
  for (const { source, promised, received, deliveries, unsure } of accounts) {
    const unstable = [...received].filter(([, ids]) => ids.size !== 1);
    assert.deepEqual(unstable, [], `${source}: a repeat carries the id of the first delivery`);
    figures[`${source}: promised`] = promised.size;
    figures[`${source}: unsure`] = unsure;
    figures[`${source}: received`] = deliveries;
    figures[`${source}: repeats`] = deliveries - received.size;
  }
  recordLedger(t, { seed, [what]: times, ...figures, lost: 0, ...identityLedger(await watch.stop()) });
  await settleIdentity(watch);
  assert.doesNotMatch(daemon.output(), /not foreseen|uncaught|unhandled/i);
}
