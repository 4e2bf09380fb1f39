/** Many events wait when the daemon starts, after a clean stop and after a crash: it is ready as fast as with none. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { makeDaemon } from "../e2e/daemon.ts";
import { scrapeMetrics } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";
import { identityLedger, LEAST_UNDER_FULL_LOAD, settleIdentity, watchIdentity } from "./identity.ts";
import { disorder, makeLanding } from "./landing.ts";
import { recordLedger } from "./ledger.ts";
import { waiting, waitingNumber } from "./waiting.ts";

const COUNTS = (process.env.LEAT_BACKLOG ?? "100000,1000000").split(",").map(Number);
const READY_MS = 2_000;
const MAX_MIB = 700;
/** At least so many a second are delivered, on whatever machine. */
const LEAST_PER_SECOND = 300;
const MIB = 1024 * 1024;

for (const count of COUNTS) {
  for (const crash of [false, true]) {
    const after = crash ? "a crash" : "a clean stop";
    test(`${count} events wait at the start after ${after}`, { timeout: 3_600_000 }, async (t) => {
      const landing = await makeLanding();
      const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id, key: body.key } }
sinks: { out: { type: webhook, url: "${landing.url}/", concurrency: 32 } }
routes: { all: { from: in, to: out } }
`);
      t.after(async () => {
        await daemon.close();
        await landing.close();
      });
      const empty = await startTimes(daemon);
      daemon.signal("SIGTERM");
      await daemon.ended();
      const filling = performance.now();
      await fill(join(daemon.folder, "leat.yaml"), count, crash);
      const fillMs = Math.round(performance.now() - filling);

      const full = await startTimes(daemon);
      // Only now, so that the start is what it would be without.
      const watch = watchIdentity(daemon.admin);
      t.after(() => watch.stop());
      let mostMemory = 0;
      const measure = async () => {
        const { samples } = await scrapeMetrics(daemon.admin);
        const memory = samples.find(({ name }) => name === "leat_resident_memory_bytes")?.value ?? 0;
        mostMemory = Math.max(mostMemory, memory);
      };
      const measuring = setInterval(() => void measure(), 500);
      t.after(() => clearInterval(measuring));
      const begun = performance.now();
      const longest = (count / LEAST_PER_SECOND) * 1000 + 30_000;
      await waitFor("all to arrive", () => landing.taken.size === count, longest);
      clearInterval(measuring);
      const seconds = (performance.now() - begun) / 1000;
      const identity = await watch.stop();
      const wrong = disorder({ get: (id) => waiting(waitingNumber(id)) }, landing);
      recordLedger(t, {
        waiting: count,
        "filled ms": fillMs,
        "ready ms": full.ms,
        "ready ms with none": empty.ms,
        "processor s until then": full.cpuS,
        "processor s with none": empty.cpuS,
        arrived: landing.taken.size,
        repeats: landing.requests - count,
        "out of order": wrong,
        "delivered a second": Math.round(count / seconds),
        "most MiB of memory": Math.round(mostMemory / MIB),
        ...identityLedger(identity),
      });
      await settleIdentity(watch, LEAST_UNDER_FULL_LOAD);
      assert.equal(wrong, 0);
      assert.equal(landing.unstable, 0);
      assert.ok(full.ms < READY_MS, `ready after ${full.ms} ms`);
      assert.ok(mostMemory < MAX_MIB * MIB, `${Math.round(mostMemory / MIB)} MiB of memory`);
    });
  }
}

/** How long a start takes, by the clock in ms and by the processor in s. */
async function startTimes(daemon: { readonly admin: string; start(): Promise<void> }) {
  const begun = performance.now();
  await daemon.start();
  const ms = Math.round(performance.now() - begun);
  const { samples } = await scrapeMetrics(daemon.admin);
  const cpuS = samples.find(({ name }) => name === "leat_cpu_seconds_total")?.value ?? 0;
  return { ms, cpuS: Math.round(cpuS * 100) / 100 };
}

/** By a process of its own, which a SIGKILL makes a crash of. */
async function fill(config: string, count: number, crash: boolean): Promise<void> {
  const script = resolve(import.meta.dirname, "fill-journal.ts");
  const child = spawn(process.execPath, [script, config, String(count)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const filled = once(child.stdout, "data");
  await Promise.race([
    filled,
    ended.then(([code]) => {
      throw new Error(`filling the journal ended with ${code}`);
    }),
  ]);
  child.kill(crash ? "SIGKILL" : "SIGTERM");
  await ended;
}
