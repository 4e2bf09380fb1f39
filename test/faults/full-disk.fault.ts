/**
 * J6: the file system of the journal is full for 30 s, and then it isn't. Meanwhile senders hear 503 with Retry-After,
 * never yes; what was taken before goes on being delivered as far as the ballast lets settlements commit.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { debuglog } from "node:util";
import { waitFor } from "../wait-for.ts";
import { recordLedger } from "./ledger.ts";
import { mountMemory } from "./loop-disk.ts";
import { makeProving, type Proving } from "./proving.ts";

const DISK_BYTES = 64 * 2 ** 20;
const FULL_MS = 30_000;
/** From the moment that there is room again until senders hear yes. */
const BACK_MS = 10_000;
const debug = debuglog("faults");

test("a disk that is full for 30 s: no yes meanwhile, deliveries go on, and it goes on by itself", {
  timeout: 300_000,
}, async (t) => {
  const { proving, yes } = await onSmallDisk(t);
  const { daemon, landing } = proving;
  // So that there is something to deliver when the disk is full.
  const held = Promise.withResolvers<number>();
  landing.answer = () => held.promise;
  await yes.more(100);

  const disk = new Filler(join(daemon.folder, "data", "filler"));
  disk.fill();
  const filledAt = performance.now();
  await waitFor("intake to be closed", () => reasonsOf(daemon.admin));
  const closedAt = performance.now();
  const [owed, delivered] = [proving.senders.promised.size - landing.taken.size, landing.taken.size];
  held.resolve(200);
  landing.answer = () => 200;
  while (performance.now() < filledAt + FULL_MS) {
    assert.match((await reasonsOf(daemon.admin)) ?? "none", /disk/);
    assert.ok((await fetch(`${daemon.admin}/healthz`)).ok);
    await refusedAtOnce(daemon.url);
    await sleep(500);
  }
  const meanwhile = landing.taken.size - delivered;
  debug("closed after %d ms, %d of %d delivered meanwhile", closedAt - filledAt, meanwhile, owed);
  assert.ok(meanwhile > 0, "what was taken before is delivered");

  const fullMs = performance.now() - filledAt;
  recordLedger(t, {
    "full for ms": Math.round(fullMs),
    "closed after ms": Math.round(closedAt - filledAt),
    "yes while closed": 0,
    "owed when it was full": owed,
    "delivered meanwhile": meanwhile,
    ...(await goesOn(proving, yes, disk, closedAt)),
  });
});

test("a disk on which every byte is taken again for 30 s, with a kill -9 and a start in between", {
  timeout: 300_000,
}, async (t) => {
  const { proving, yes } = await onSmallDisk(t);
  const { daemon } = proving;

  const disk = new Filler(join(daemon.folder, "data", "filler"));
  disk.fill();
  const filledAt = performance.now();
  const refill = setInterval(() => disk.fill(), 20);
  t.after(() => clearInterval(refill));
  await waitFor("intake to be closed", () => reasonsOf(daemon.admin));
  const closedAt = performance.now();
  await sleep(FULL_MS / 3);
  daemon.signal("SIGKILL");
  assert.equal(await daemon.ended(), "SIGKILL");
  daemon.launch();
  const alive = async () => (await fetch(`${daemon.admin}/healthz`)).ok;
  await waitFor("the daemon to be alive", alive, 60_000);
  const until = Math.max(filledAt + FULL_MS, performance.now() + FULL_MS / 3);
  while (performance.now() < until) {
    assert.match((await reasonsOf(daemon.admin)) ?? "none", /disk/);
    await refusedAtOnce(daemon.url);
    await sleep(500);
  }

  clearInterval(refill);
  const fullMs = performance.now() - filledAt;
  recordLedger(t, {
    "full for ms": Math.round(fullMs),
    "yes while closed": 0,
    ...(await goesOn(proving, yes, disk, closedAt)),
  });
});

/** When senders heard yes. */
class Yes {
  readonly #at: number[] = [];

  constructor({ senders }: Proving) {
    senders.onPromise(() => this.#at.push(performance.now()));
  }

  async more(count: number): Promise<void> {
    const before = this.#at.length;
    await waitFor(`${count} more to be answered 2xx`, () => this.#at.length >= before + count, 60_000);
  }

  /** When the first one was after `from`. */
  after(from: number): Promise<number> {
    return waitFor("a yes", () => this.#at.find((at) => at > from), 60_000);
  }

  between(from: number, to: number): number {
    return this.#at.filter((at) => at > from && at < to).length;
  }
}

/** Takes all the room there is. */
class Filler {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  fill(): void {
    const fd = openSync(this.#file, "a");
    try {
      // The last pages too, one by one.
      for (const bytes of [2 ** 20, 2 ** 12]) writeUntilFull(fd, Buffer.alloc(bytes, 1));
    } finally {
      closeSync(fd);
    }
  }

  free(): void {
    rmSync(this.#file);
  }
}

function writeUntilFull(fd: number, chunk: Buffer): void {
  for (;;) {
    try {
      writeSync(fd, chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
      throw error;
    }
  }
}

/** What /readyz gives as reasons for its 503; null: it says 200. */
async function reasonsOf(admin: string): Promise<string | null> {
  const response = await fetch(`${admin}/readyz`);
  const body = await response.text();
  return response.ok ? null : body;
}

async function refusedAtOnce(url: string): Promise<void> {
  const response = await fetch(`${url}/in`, { method: "POST", body: "{}" });
  await response.arrayBuffer();
  assert.equal(response.status, 503);
  assert.ok(Number(response.headers.get("retry-after")) > 0, "it says when to come back");
}

/** A daemon on it under load, and when its senders heard yes. */
async function onSmallDisk(t: TestContext): Promise<{ readonly proving: Proving; readonly yes: Yes }> {
  let unmount = () => {};
  const proving = await makeProving({
    env: { LEAT_JOURNAL_WATERMARK_SHARE: "10%", LEAT_JOURNAL_WATERMARK_SIZE: "1GiB" },
    prepare(folder) {
      unmount = mountMemory(join(folder, "data"), DISK_BYTES);
    },
    cleanUp: () => unmount(),
  });
  t.after(() => proving.close());
  assert.ok(await proving.start());
  proving.send({ senders: 8 });
  const yes = new Yes(proving);
  await yes.more(200);
  return { proving, yes };
}

/** The disk has room again: the ledger's figures of how it goes on. */
async function goesOn(proving: Proving, yes: Yes, disk: Filler, closedAt: number) {
  const freedAt = performance.now();
  disk.free();
  const backAt = await yes.after(freedAt);
  assert.equal(yes.between(closedAt, freedAt), 0, "no yes while the disk is full");
  assert.ok(backAt - freedAt < BACK_MS, `yes again after ${backAt - freedAt} ms`);
  await yes.more(100);
  return { "yes again after ms": Math.round(backAt - freedAt), ...(await proving.settle()) };
}
