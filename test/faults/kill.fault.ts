/** J1, J3, J4, J5, J7: kill -9 under load, at moments that are chosen. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { debuglog } from "node:util";
import { SeededChance } from "../journal/simulation/chance.ts";
import { waitFor } from "../wait-for.ts";
import { recordLedger } from "./ledger.ts";
import { type Moment, moments } from "./moments.ts";
import { makeProving, type Proving } from "./proving.ts";

const KILLS = Number(process.env.LEAT_KILLS ?? 100);
const SEED = Number(process.env.LEAT_SEED ?? randomInt(2 ** 31));
/** Only these moments; for looking into one. */
const ONLY = new RegExp(process.env.LEAT_MOMENT ?? "");
/** Longest that a chosen moment may take to come, in ms. */
const MOMENT_MS = 60_000;
const READY_MS = 2_000;
/** NODE_DEBUG=faults shows what goes on. */
const debug = debuglog("faults");

test(`loses nothing over ${KILLS} kill -9 at chosen moments`, { timeout: 1_800_000 }, async (t) => {
  const chance = new SeededChance(SEED);
  t.diagnostic(`seed ${SEED}: LEAT_SEED reruns it`);
  const proving = await makeProving({ more: "retention: { age: 7d, size: 8MiB }" });
  t.after(() => proving.close());
  const met = new Map<string, number>();

  for (let kill = 0; kill < KILLS; kill++) {
    const list = moments((below) => chance.below(below), proving.planter.trigger).filter(({ name }) =>
      ONLY.test(name),
    );
    const moment = list[kill % list.length]!;
    await meet(proving, moment).catch((cause: unknown) => {
      throw new Error(
        `kill ${kill}: ${moment.name} ${JSON.stringify(moment)}\n${proving.daemon.output().slice(-4000)}`,
        { cause },
      );
    });
    debug(
      "kill %d: %s: %d promised, %d received, start %d ms",
      kill,
      moment.name,
      proving.senders.promised.size,
      proving.landing.requests,
      proving.starts.at(-1),
    );
    met.set(moment.name, (met.get(moment.name) ?? 0) + 1);
  }
  plant(proving, null);
  assert.ok(await proving.start());
  const ledger = await proving.settle();
  recordLedger(t, { seed: SEED, kills: KILLS, moments: met.size, ...ledger });
  const slow = proving.starts.filter((ms) => ms > READY_MS);
  assert.deepEqual(slow, [], `ready within ${READY_MS} ms after each kill`);
});

/** Starts the daemon with the fault in it and sees it die of it. */
async function meet(proving: Proving, moment: Moment): Promise<void> {
  const { daemon, planter, landing } = proving;
  plant(proving, moment);
  if (!(await proving.start())) return;
  proving.send();
  const before = landing.requests;
  landing.answer = () => {
    if (moment.receiver === undefined || landing.requests - before !== moment.receiver.nth) return 200;
    // Once this turn is over the answer is on its way.
    if (moment.receiver.when === "answered") setImmediate(() => daemon.signal("SIGKILL"));
    else daemon.signal("SIGKILL");
    return 200;
  };
  if (moment.reload === true) {
    await waitFor("some load before the reload", () => landing.requests > before + 50);
    proving.turnConfiguration();
    planter.arm();
    daemon.signal("SIGHUP");
  }
  assert.equal(await soon(daemon.ended()), "SIGKILL");
}

function plant({ planter, landing }: Proving, moment: Moment | null): void {
  planter.disarm();
  planter.sql(moment?.sql === undefined ? {} : { fault: moment.sql });
  planter.disk(moment?.disk ?? null);
  landing.answer = () => 200;
}

async function soon<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the moment never came")), MOMENT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
