/**
 * `node fill.ts FOLDER COUNT`: fills a journal up to COUNT webhooks as the ingest row's sender posts them, their ids
 * remembered, through the journal's own interface: many wait for one commit.
 */
import { openSqliteJournal } from "../src/journal/sqlite/open.ts";
import { type Logger, systemChance, systemClock } from "../src/ports.ts";
import { webhook } from "./webhook.ts";

/** Appends that wait at once. */
const WAITING = 4096;
const DAY = 86_400_000;

const log: Logger = { trace() {}, debug() {}, info() {}, warn() {}, error: console.error, child: () => log };

const [path = "", count = "0"] = process.argv.slice(2);
const journal = await openSqliteJournal({
  path,
  tuning: {
    retention: { ageMs: 7 * DAY, bytes: 2 ** 40, dead: { ageMs: 30 * DAY, bytes: 2 ** 31 } },
    limits: { uncommittedBytes: 2 ** 26, commitWaitMs: 60_000, dedupeIds: 5_000_000 },
  },
  watermark: { share: 0.01, bytes: 2 ** 30 },
  clock: systemClock,
  chance: systemChance,
  log,
});

const { oldest, newest } = journal.log.bounds();
let left = Number(count) - (newest - oldest + 1);
await Promise.all(
  Array.from({ length: WAITING }, async () => {
    while (left-- > 0) await journal.log.append(webhook(), 3 * DAY);
  }),
);
await journal.close();
