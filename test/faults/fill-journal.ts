/**
 * `node fill-journal.ts <leat.yaml> <count>`: appends so many events of the source `in` to the journal that the
 * configuration describes, and owes them to its sinks, without a daemon. Prints `filled` and waits: a SIGTERM closes the
 * journal, a SIGKILL leaves it as a crash does.
 */
import { readConfiguration } from "../../src/commands/configuration.ts";
import { openJournal } from "../../src/daemon/parts.ts";
import { definitionsOf } from "../../src/daemon/subscriptions.ts";
import { NO_HEADERS } from "../../src/event.ts";
import { createLog } from "../../src/log.ts";
import { systemClock } from "../../src/ports.ts";
import { waiting } from "./waiting.ts";

/** Appended at once: a commit takes a thousand. */
const AT_ONCE = 4_000;
const DEDUPE_MS = 3 * 86_400_000;

const [file = "", count = "0"] = process.argv.slice(2);
const read = readConfiguration([file]);
if (!read.ok) throw new Error(`${file} is no configuration: ${JSON.stringify(read.problems)}`);
const { plan, settings } = read;
const journal = await openJournal(plan, settings, systemClock, createLog(settings.log));
await journal.ledger.reconcile(definitionsOf(plan));

const pad = "x".repeat(200);
for (let first = 0; first < Number(count); first += AT_ONCE) {
  const many = Math.min(AT_ONCE, Number(count) - first);
  await Promise.all(
    Array.from({ length: many }, (_, nth) => {
      const { id, key } = waiting(first + nth);
      const body = JSON.stringify({ id, key, n: first + nth, at: 0, pad });
      const event = {
        source: "in",
        id,
        type: "webhook",
        subject: null,
        key,
        time: Date.now(),
        headers: NO_HEADERS,
        body: Buffer.from(body),
        hops: 0,
        cause: null,
      };
      return journal.log.append(event, DEDUPE_MS);
    }),
  );
}
process.once("SIGTERM", () => void journal.close().then(() => process.exit(0)));
setInterval(() => {}, 60_000);
process.stdout.write("filled\n");
