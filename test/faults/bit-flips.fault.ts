/**
 * One bit of the journal's files is flipped while nobody has them open, 200 times. Either the start is refused with what
 * to do (exit 3) and the files are left as they are, or every event is delivered as it was sent, but for those whose row
 * fails its checksum: they are dead letters that a person sees. A payload that was changed is never delivered.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { debuglog } from "node:util";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { startDaemon } from "../../src/daemon.ts";
import { EXIT_CODE, LeatError } from "../../src/errors.ts";
import { createLog } from "../../src/log.ts";
import { postJson, preamble } from "../daemon/running.ts";
import type { SeededChance } from "../journal/simulation/chance.ts";
import { waitFor } from "../wait-for.ts";
import { LEAST_PER_SECOND, watchIdentity } from "./identity.ts";
import { recordLedger } from "./ledger.ts";
import { seeded } from "./seed.ts";

const TRIALS = Number(process.env.LEAT_TRIALS ?? 200);
const EVENTS = 120;
const debug = debuglog("faults");

/** Half of the trials are within what an event said; the others where pages begin, or anywhere. */
const PLACES = [
  ...["an event's body", "a page's head", "an event's body", "journal.db"],
  ...["an event's body", "a page's head", "an event's body", "journal.db-wal"],
] as const;
type Place = (typeof PLACES)[number];
type Outcome = "refused" | "quarantined" | "harmless";

const SOURCE = "sources: { in: { type: webhook, path: /in, verify: { type: none }, id: body.id } }\n";

test(`a bit flipped in ${TRIALS} places: refused, or found and shown; nothing corrupt is delivered`, {
  timeout: 1_800_000,
}, async (t) => {
  const { seed, chance } = seeded(t);
  const receiver = await startReceiver(t);
  const closed = await filled(t, "closed");
  const killed = await filled(t, "killed");
  const counts = new Map<string, number>();
  const scraped = { scrapes: 0, seconds: 0 };

  for (let trial = 0; trial < TRIALS; trial++) {
    const place = PLACES[trial % PLACES.length]!;
    const folder = mkdtempSync(join(tmpdir(), "leat-flip-"));
    try {
      cpSync(place === "journal.db-wal" ? killed.folder : closed.folder, folder, { recursive: true });
      const file = join(folder, "data", place === "journal.db-wal" ? place : "journal.db");
      const flipped = flip(file, place, chance);
      const outcome = await outcomeOf(
        folder,
        place === "journal.db-wal" ? killed.bodies : closed.bodies,
        receiver,
        scraped,
      ).catch((cause: unknown) => {
        throw new Error(`trial ${trial}: ${place}, bit ${flipped}`, { cause });
      });
      debug("trial %d: %s, bit %d: %s", trial, place, flipped, outcome);
      const what = `${place}: ${outcome}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  // A page may hold what was once in it.
  const inBodies = TRIALS / 2;
  assert.ok((counts.get("an event's body: quarantined") ?? 0) >= 0.8 * inBodies, "a changed event is found");
  recordLedger(t, {
    seed,
    trials: TRIALS,
    ...Object.fromEntries([...counts].sort()),
    "corrupt payloads delivered": 0,
    "scrapes of J3": scraped.scrapes,
    "scrapes a second": Math.round((10 * scraped.scrapes) / scraped.seconds) / 10,
  });
  // Lives of some tenths of a second, of which each is looked at; all together at the rate of the other runs.
  assert.ok(
    scraped.scrapes >= LEAST_PER_SECOND * scraped.seconds,
    `${scraped.scrapes} in ${scraped.seconds} s`,
  );
});

/** Flips one bit; returns its place in the file. */
function flip(file: string, place: Place, chance: SeededChance): number {
  const bytes = readFileSync(file);
  let at = chance.below(bytes.length);
  if (place === "an event's body") {
    const starts = [...bytes.toString("latin1").matchAll(/\{"id":"event-/g)].map(({ index }) => index);
    // Behind the first bytes, so that it is the body in the event's row and not the id beside it.
    at = chance.pick(starts) + 20 + chance.below(200);
  }
  if (place === "a page's head") {
    // SQLite's header says how large its pages are; 64 KiB is written as 1.
    const pageBytes = bytes.readUInt16BE(16) === 1 ? 65536 : bytes.readUInt16BE(16);
    at = chance.below(bytes.length / pageBytes) * pageBytes + chance.below(100);
  }
  const bit = chance.below(8);
  bytes[at] = bytes[at]! ^ (1 << bit);
  writeFileSync(file, bytes);
  return at * 8 + bit;
}

/** Starts a daemon on it that delivers all there is from the beginning. */
async function outcomeOf(
  folder: string,
  bodies: ReadonlyMap<string, string>,
  receiver: Receiver,
  scraped: { scrapes: number; seconds: number },
): Promise<Outcome> {
  const journal = join(folder, "data", "journal.db");
  // An empty log is as good as none.
  const contents = () =>
    ["", "-wal"]
      .map((end) => (existsSync(journal + end) ? readFileSync(journal + end) : Buffer.alloc(0)))
      .map(hash);
  const found = contents();
  receiver.received.clear();
  let daemon: Awaited<ReturnType<typeof start>>;
  try {
    daemon = await start(
      folder,
      `${SOURCE}sinks: { out: { type: webhook, url: "${receiver.url}" } }\n` +
        "routes: { all: { from: in, to: { sink: out, start: beginning } } }\n",
    );
  } catch (error) {
    assert.ok(error instanceof LeatError, String(error));
    assert.equal(EXIT_CODE[error.kind], 3, error.message);
    assert.ok((error.hint ?? "") !== "", "it says what to do");
    assert.deepEqual(contents(), found, "the files are left as they are");
    return "refused";
  }
  const watch = watchIdentity(daemon.adminUrl);
  try {
    const counts = () => daemon.journal.ledger.subscription("all/out")!.counts()[0]!.counts;
    await waitFor("all to be delivered or dead", () => {
      const { delivered, dead } = counts();
      return delivered + dead === bodies.size;
    });
    for (const [id, body] of receiver.received) assert.equal(body, bodies.get(id), `${id} is as it was sent`);
    const { delivered, dead, accepted } = counts();
    assert.equal(accepted, bodies.size);
    assert.equal(receiver.received.size, delivered);
    // Mostly it is done before the first turn of the watch.
    await waitFor("a scrape", () => watch.scrapes > 0);
    const { scrapes, seconds } = await watch.stop();
    assert.deepEqual(watch.wrong, [], "J3");
    scraped.scrapes += scrapes;
    scraped.seconds += seconds;
    if (dead === 0) return "harmless";
    const letters = await daemon.journal.ledger.dead({ subscription: "all/out", limit: bodies.size });
    assert.deepEqual(
      letters.map(({ error }) => error),
      Array(dead).fill("damaged_row"),
    );
    assert.match(daemon.journal.health().notes.join(), /damaged on disk/);
    return "quarantined";
  } finally {
    await watch.stop();
    await daemon.stop();
  }
}

async function start(folder: string, yaml: string) {
  const file = join(folder, "leat.yaml");
  writeFileSync(file, preamble() + yaml);
  const read = () => readConfiguration([file], { env: {} });
  const configuration = read();
  assert.ok(configuration.ok);
  return startDaemon({
    configuration,
    read,
    log: createLog({ level: "error", format: "json", stream: { write: () => {} } }),
  });
}

/** A folder with a journal of events that nobody was owed yet: cleanly closed, or as a kill -9 leaves it. */
async function filled(
  t: TestContext,
  how: "closed" | "killed",
): Promise<{ folder: string; bodies: Map<string, string> }> {
  const folder = mkdtempSync(join(tmpdir(), "leat-flip-"));
  const copy = mkdtempSync(join(tmpdir(), "leat-flip-"));
  t.after(() => {
    for (const path of [folder, copy]) rmSync(path, { recursive: true, force: true });
  });
  const daemon = await start(folder, SOURCE);
  const bodies = new Map<string, string>();
  for (let n = 0; n < EVENTS; n++) {
    const event = { id: `event-${n}`, pad: `${n} `.repeat(80 + ((n * 37) % 400)) };
    bodies.set(event.id, hash(Buffer.from(JSON.stringify(event))));
    assert.equal((await postJson(`${daemon.url}/in`, event)).status, 200);
  }
  // The files of a process that is killed at this moment are these.
  if (how === "killed") cpSync(folder, copy, { recursive: true });
  await daemon.stop();
  return { folder: how === "killed" ? copy : folder, bodies };
}

interface Receiver {
  readonly url: string;
  /** By the event's id, a hash of the body. */
  readonly received: Map<string, string>;
}

async function startReceiver(t: TestContext): Promise<Receiver> {
  const received = new Map<string, string>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    received.set(String(request.headers["leat-id"]), hash(Buffer.concat(chunks)));
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, received };
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
