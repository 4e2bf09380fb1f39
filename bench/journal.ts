/**
 * `node bench/journal.ts [seconds]`: the journal alone, without HTTP: appends/s of 800-byte events with random ids by so
 * many callers at once, the time each waits, and the processor time of an event on the main thread and in all.
 */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packHeaders } from "../src/event.ts";
import { openSqliteJournal } from "../src/journal/sqlite/open.ts";
import { type Logger, systemChance, systemClock } from "../src/ports.ts";

const SECONDS = Number(process.argv[2] ?? 5);
const BODY = Buffer.alloc(800, "x");
const HEADERS = packHeaders([
  ["content-type", "application/json"],
  ["user-agent", "GitHub-Hookshot/044aadd"],
  ["x-github-event", "pull_request"],
]);
const DAY = 86_400_000;

const quiet: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error: console.error,
  child: () => quiet,
};

const path = mkdtempSync(join(tmpdir(), "leat-bench-journal-"));
const journal = await openSqliteJournal({
  path,
  tuning: {
    retention: { ageMs: 7 * DAY, bytes: 10 * 2 ** 30, dead: { ageMs: 30 * DAY, bytes: 2 ** 31 } },
    limits: { uncommittedBytes: 2 ** 26, commitWaitMs: 10_000, dedupeIds: 5_000_000 },
  },
  watermark: { share: 0.01, bytes: 2 ** 28 },
  clock: systemClock,
  chance: systemChance,
  log: quiet,
});

async function measure(callers: number): Promise<void> {
  const waits: number[] = [];
  const end = performance.now() + SECONDS * 1000;
  const cpu = process.cpuUsage();
  const main = process.threadCpuUsage();
  const start = performance.now();
  const before = journal.metrics();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        const since = performance.now();
        const event = {
          source: "github",
          id: randomUUID(),
          type: "pull_request",
          subject: "/octo",
          key: null,
          time: Date.now(),
          headers: HEADERS,
          body: BODY,
          hops: 0,
          cause: null,
        };
        await journal.log.append(event, 3 * DAY);
        waits.push(performance.now() - since);
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  const all = process.cpuUsage(cpu);
  const own = process.threadCpuUsage(main);
  const after = journal.metrics();
  waits.sort((a, b) => a - b);
  const at = (share: number) => (waits[Math.floor(waits.length * share)] ?? Number.NaN).toFixed(2);
  const each = (usage: NodeJS.CpuUsage) => ((usage.user + usage.system) / waits.length).toFixed(2);
  console.log(
    `${callers} callers: ${Math.round(waits.length / seconds)}/s; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
      `max ${at(0.999999)} ms; ${(waits.length / (after.commits - before.commits)).toFixed(0)} a commit; ` +
      `processor ${each(all)} us an event, of it the main thread ${each(own)}`,
  );
}

try {
  for (const callers of [1, 64, 2048]) await measure(callers);
} finally {
  await journal.close();
  rmSync(path, { recursive: true, force: true });
}
