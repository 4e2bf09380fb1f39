/**
 * What the runs that kill a daemon share: a daemon with a receiver, a stream's reader and senders around it that all keep
 * books of their own, a watch on its metrics, and the comparison of all these books at the end.
 */
import assert from "node:assert/strict";
import { type Daemon, makeDaemon } from "../e2e/daemon.ts";
import { followStream, type StreamReader } from "../e2e/stream-reader.ts";
import { accountSums, scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import {
  type IdentityWatch,
  identityLedger,
  LEAST_UNDER_FULL_LOAD,
  settleIdentity,
  watchIdentity,
} from "./identity.ts";
import { disorder, type Landing, makeLanding, missing } from "./landing.ts";
import type { Ledger } from "./ledger.ts";
import { makePlanter, type Planter } from "./plant.ts";
import { type Senders, type SendersOptions, startSenders } from "./senders.ts";
import { quantile, tally } from "./traffic.ts";

export interface Proving {
  readonly daemon: Daemon;
  readonly planter: Planter;
  readonly landing: Landing;
  readonly reader: StreamReader;
  readonly identity: IdentityWatch;
  readonly senders: Senders;
  /** How long each start took until /readyz said 200, in ms by the clock. */
  readonly starts: number[];
  /** Another configuration than the last one: a route comes or goes. Takes effect with the next start or reload. */
  turnConfiguration(): void;
  /** Starts the daemon. False: what was planted killed it before it was ready. */
  start(): Promise<boolean>;
  /** Starts senders if there are none. */
  send(options?: Partial<SendersOptions>): void;
  /** Sends no more, waits until everything promised is with the receiver and the reader, and compares all books. */
  settle(options?: { readonly gapsAreFine?: boolean }): Promise<Ledger>;
  /** Waits until so many more events were answered 2xx. */
  load(events: number): Promise<void>;
  close(): Promise<void>;
}

export interface ProvingOptions {
  /** YAML of further top-level keys. */
  readonly more?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs once the daemon's folder is there, before its first start. */
  readonly prepare?: (folder: string) => void;
  /** Runs before the folder is removed. */
  readonly cleanUp?: () => void;
}

/** Longest that what was promised may take to arrive once all is well, in ms. */
const SETTLE_MS = 60_000;

export async function makeProving({
  more = "",
  env = {},
  prepare = () => {},
  cleanUp = () => {},
}: ProvingOptions = {}): Promise<Proving> {
  const planter = makePlanter();
  const landing = await makeLanding();
  const second = await makeLanding();
  let turned = false;
  const configuration = () => `
sources:
  in: { type: webhook, path: /in, verify: { type: none }, id: body.id, key: body.key }
sinks:
  out: { type: webhook, url: "${landing.url}/", retry: { initial: 100ms, max_wait: 1s }, backlog: { size: 1GiB } }
  second: { type: webhook, url: "${second.url}/", retry: { initial: 100ms, max_wait: 1s } }
  live: { type: sse, path: /events, auth: { type: none }, channels: [all], channel: all }
routes:
  all: { from: in, to: [out, live] }
  ${turned ? "more: { from: in, to: second }" : ""}
${more}`;
  const daemon = await makeDaemon(configuration(), { ...planter.env, ...env });
  prepare(daemon.folder);
  const identity = watchIdentity(daemon.admin);
  const reader = followStream(`${daemon.url}/events`);
  const starts: number[] = [];
  let senders: Senders | null = null;

  const turn = (on: boolean) => {
    turned = on;
    daemon.writeConfig(configuration());
  };
  const proving: Proving = {
    daemon,
    planter,
    landing,
    reader,
    identity,
    starts,
    get senders() {
      if (senders === null) throw new Error("nobody sends yet");
      return senders;
    },
    turnConfiguration: () => turn(!turned),
    async start() {
      const begun = performance.now();
      try {
        await daemon.start();
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith("it ended with SIGKILL"))) throw error;
        return false;
      }
      starts.push(performance.now() - begun);
      return true;
    },
    send(options = {}) {
      senders ??= startSenders({ url: `${daemon.url}/in`, ...options });
    },
    async load(events) {
      const before = proving.senders.promised.size;
      await waitFor("some load", () => proving.senders.promised.size >= before + events, SETTLE_MS);
    },
    async settle({ gapsAreFine = false } = {}) {
      await proving.senders.stop();
      const { promised, duplicates, refused } = proving.senders;
      await waitFor(
        "what was promised at the receiver",
        () => missing(promised, landing).length === 0,
        SETTLE_MS,
      );
      const read = () => new Set(reader.events.map(({ data }) => (JSON.parse(data) as { id: string }).id));
      const unread = () => {
        const ids = read();
        return [...promised.keys()].filter((id) => !ids.has(id));
      };
      if (!gapsAreFine) {
        await waitFor("the stream's reader", () => unread().length === 0, SETTLE_MS).catch((cause) => {
          const seqs = unread().map((id) => promised.get(id)?.seq);
          const at = `it is at ${reader.events.at(-1)?.id}, gaps ${reader.gaps.join() || "none"}`;
          throw new Error(`the stream's reader lacks ${seqs.length} seqs: ${seqs.slice(0, 20)}; ${at}`, {
            cause,
          });
        });
        assert.deepEqual(reader.gaps, []);
      }
      // What the route that comes and goes owes, too.
      if (!turned) {
        turn(true);
        daemon.signal("SIGHUP");
      }
      await waitFor("nothing to be owed any more", async () => (await owed(daemon.admin)) === 0, SETTLE_MS);
      await settleIdentity(identity, LEAST_UNDER_FULL_LOAD);
      assert.equal(landing.unstable + second.unstable, 0, "J4: a repeat carries the webhook-id of the first");
      assert.equal(disorder(promised, landing), 0, "events of one key arrived in their order");
      const seqs = reader.events.map(({ id }) => Number(id));
      assert.ok(
        seqs.every((seq, at) => at === 0 || seq > seqs[at - 1]!),
        "J5: the reader saw seqs grow, none twice",
      );
      const given = [...promised.values()].map(({ seq }) => seq);
      assert.equal(new Set(given).size, given.length, "J5: no seq was given out twice");
      let taken = 0;
      for (const count of landing.taken.values()) taken += count;
      return {
        "answered 2xx": promised.size,
        "of these on a repeat, as duplicate": duplicates,
        "refused or cut": tally(refused),
        received: taken,
        repeats: taken - landing.taken.size,
        lost: 0,
        "out of order": 0,
        ...identityLedger(await identity.stop()),
        "starts, median ms": Math.round(quantile(starts, 0.5)),
        "starts, longest ms": Math.round(Math.max(...starts)),
      };
    },
    async close() {
      await senders?.stop();
      await identity.stop();
      reader.close();
      await daemon.end();
      cleanUp();
      await daemon.close();
      await landing.close();
      await second.close();
      planter.close();
    },
  };
  return proving;
}

/** What is accepted and not settled, over all accounts. */
async function owed(admin: string): Promise<number> {
  const { samples } = await scrapeMetrics(admin);
  for (const [account, { accepted, parts }] of accountSums(samples, "leat_")) {
    assert.equal(accepted, parts, account);
  }
  let sum = 0;
  for (const { name, value } of samples) if (name === "leat_unsettled") sum += value;
  return sum;
}
