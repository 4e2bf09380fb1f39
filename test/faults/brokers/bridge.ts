/**
 * A Leat that carries all that comes into one place of a broker to another, under a steady load from outside, while a
 * test breaks what it likes. An independent ledger is kept: what the broker confirmed to the sender, and what the reader
 * found. A message whose confirm never came is not promised, and is not sent again: the next one has another id.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type Daemon, makeDaemon } from "../../e2e/daemon.ts";
import type { SeededChance } from "../../journal/simulation/chance.ts";
import { scrapeMetrics } from "../../metrics-text.ts";
import { waitFor } from "../../wait-for.ts";
import { identityLedger, settleIdentity, watchIdentity } from "../identity.ts";
import type { Ledger } from "../ledger.ts";
import { seeded } from "../seed.ts";
import type { Family, Place } from "./family.ts";

const SENDERS = 8;
/** Each sender's pause, so that the processor is left to who is tested. */
const PAUSE_MS = 20;
/** What may be on its way: with the faults coming one after the other, a slow machine would never be done with more. */
const MOST_ON_THE_WAY = 3_000;

export interface Bridge {
  readonly place: Place;
  readonly daemon: Daemon;
  readonly promised: ReadonlySet<string>;
  /** All that faults leave to chance is drawn from it. */
  readonly chance: SeededChance;
  /** Resolves once that many more have come out than now. */
  progress(messages: number, timeoutMs?: number): Promise<void>;
  /** Source and sink have their broker. */
  connected(timeoutMs?: number): Promise<void>;
  /**
   * Ends the load, waits until all that was promised has come out, and holds Leat to it: nothing lost, repeats only with
   * the same id, the process never died and saw nothing that it didn't foresee.
   */
  settle(timeoutMs?: number): Promise<Ledger>;
}

export async function startBridge(t: TestContext, family: Family): Promise<Bridge> {
  const place = await family.open();
  t.after(place.close);
  const daemon = await makeDaemon(`
sources: { in: ${place.source("in")} }
sinks: { out: ${place.sink("out")} }
routes: { all: { from: in, to: { sink: out, retry: { initial: 100ms, max_wait: 1s } } } }
`);
  t.after(daemon.close);
  await daemon.start();
  const pid = daemon.pid();
  const { seed, chance } = seeded(t);
  const watch = watchIdentity(daemon.admin);
  t.after(() => watch.stop());

  const connected = async (timeoutMs = 60_000) => {
    const both = async () => {
      const { samples } = await scrapeMetrics(daemon.admin);
      const value = (metric: string) => samples.find(({ name }) => name === metric)?.value;
      return value("leat_source_connected") === 1 && value("leat_sink_connected") === 1;
    };
    await waitFor("source and sink to have their broker", both, timeoutMs);
  };
  await connected();

  const promised = new Set<string>();
  let [stopped, unsure] = [false, 0];
  const sender = async () => {
    for (; !stopped; await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))) {
      if (promised.size - place.read.length > MOST_ON_THE_WAY) continue;
      const id = randomUUID();
      try {
        await place.send(id);
        promised.add(id);
      } catch {
        unsure++;
      }
    }
  };
  const senders = Array.from({ length: SENDERS }, sender);
  t.after(() => {
    stopped = true;
  });

  return {
    place,
    daemon,
    promised,
    chance,
    connected,
    async progress(messages, timeoutMs = 60_000) {
      const enough = place.read.length + messages;
      await waitFor(`${messages} more to come out`, () => place.read.length >= enough, timeoutMs);
    },
    async settle(timeoutMs = 120_000) {
      stopped = true;
      await Promise.all(senders);
      const missing = () => {
        const seen = new Set(place.read.map(({ id }) => id));
        return [...promised].filter((id) => !seen.has(id));
      };
      try {
        await waitFor("all that was promised to come out", () => missing().length === 0, timeoutMs);
      } catch (cause) {
        throw new Error(
          `${missing().length} of ${promised.size} are lost:\n${daemon.output().slice(-8_000)}`,
          {
            cause,
          },
        );
      }
      const names = new Map<string, Set<string>>();
      for (const { id, leatId } of place.read) names.set(id, (names.get(id) ?? new Set()).add(leatId));
      const unstable = [...names].filter(([, leatIds]) => leatIds.size !== 1);
      assert.deepEqual(unstable, [], "a repeat carries the id of the first delivery");
      assert.equal(daemon.pid(), pid);
      process.kill(pid, 0);
      assert.doesNotMatch(daemon.output(), /not foreseen|uncaught|unhandled|Warning/i);
      await settleIdentity(watch);
      return {
        seed,
        promised: promised.size,
        unsure,
        "came out": place.read.length,
        repeats: place.read.length - names.size,
        lost: missing().length,
        ...identityLedger(await watch.stop()),
      };
    },
  };
}
