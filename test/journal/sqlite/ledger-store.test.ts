/** The ledger on the real store and writer, run inline, with a clock of its own. */
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { type NewEvent, NO_HEADERS } from "../../../src/event.ts";
import type { Lease, Subscription, SubscriptionDefinition } from "../../../src/journal/journal.ts";
import { LedgerQueries } from "../../../src/journal/sqlite/ledger-queries.ts";
import { createLedgerStore } from "../../../src/journal/sqlite/ledger-store.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage } from "../../../src/journal/sqlite/storage.ts";
import { LedgerLife, microtasks } from "../simulation/ledger-life.ts";
import { World } from "../simulation/world.ts";
import { TUNING } from "./journal-kit.ts";
import { definition } from "./subscription-kit.ts";

const DAY = 86_400_000;
const worlds: World[] = [];
afterEach(() => {
  for (const world of worlds.splice(0)) world.end();
});

function newWorld(tuning = TUNING): World {
  const world = new World({ seed: 1, tuning, ledger: createLedgerStore });
  worlds.push(world);
  return world;
}

async function start(world: World, ...definitions: SubscriptionDefinition[]): Promise<LedgerLife> {
  const life = new LedgerLife(world, world.start());
  const reconciled = life.ledger.reconcile(definitions);
  await life.settle();
  await reconciled;
  return life;
}

async function append(world: World, life: LedgerLife, part: Partial<NewEvent> = {}): Promise<number> {
  const event = {
    source: "a",
    id: `id${world.chance.below(1e9)}`,
    type: "t",
    subject: null,
    key: null,
    time: world.clock.wall(),
    headers: NO_HEADERS,
    body: Buffer.from("body"),
    hops: 0,
    cause: null,
  };
  const appended = life.process.committer.append({ ...event, ...part }, null);
  await life.settle();
  return (await appended).seq;
}

async function one(life: LedgerLife, subscription: Subscription): Promise<Lease> {
  for (let n = 0; n < 20; n++) {
    const [lease] = subscription.lease(1);
    if (lease !== undefined) return lease;
    await life.settle();
  }
  assert.fail("nothing to lease");
}

const counts = (subscription: Subscription) => subscription.counts()[0]!.counts;

test("an event that is being worked on at three unclean stops is dead, and the others go on", async () => {
  const world = newWorld();
  let life = await start(world, definition({ concurrency: 2 }));
  const first = await append(world, life);
  const second = await append(world, life);
  // In flight before anybody suspected it, then three times recorded.
  await one(life, life.ledger.subscription("r/s")!);
  for (let stop = 0; stop < 4; stop++) {
    world.crash();
    life = await start(world, definition({ concurrency: 2 }));
    if (stop === 3) break;
    const lease = await one(life, life.ledger.subscription("r/s")!);
    assert.equal(lease.event.seq, first);
  }
  const subscription = life.ledger.subscription("r/s")!;
  assert.equal((await one(life, subscription)).event.seq, second);
  assert.equal(counts(subscription).dead, 1);
  const [letter] = new LedgerQueries(world.disk).dead({ limit: 5 });
  assert.deepEqual([letter?.event.seq, letter?.error, letter?.attempts], [first, "crashed", 0]);
});

test("one that was settled at last is no longer suspect", async () => {
  const world = newWorld();
  let life = await start(world, definition());
  await append(world, life);
  world.crash();
  life = await start(world, definition());
  const subscription = life.ledger.subscription("r/s")!;
  const lease = await one(life, subscription);
  assert.equal(world.disk.prepare("SELECT count(*) AS n FROM suspicion").get()?.n, 1);
  void subscription.settle(lease, { outcome: "retry", attempt: null, delayMs: 10 });
  await life.settle();
  assert.equal(world.disk.prepare("SELECT count(*) AS n FROM suspicion").get()?.n, 0);
});

test("J6: a dead letter, its cause and its replay outlive retention", async () => {
  const world = newWorld({ ...TUNING, retention: { ...TUNING.retention, ageMs: DAY } });
  const life = await start(world, definition());
  const cause = await append(world, life, { source: "other", body: Buffer.from("cause") });
  const seq = await append(world, life, { cause });
  const subscription = life.ledger.subscription("r/s")!;
  const lease = await one(life, subscription);
  void subscription.settle(lease, { outcome: "dead", attempt: null, error: "status", message: "500" });
  await life.settle();
  life.ledger.flush();
  await life.settle();
  world.clock.pass(2 * DAY);
  life.process.tick();
  await life.settle();
  for (let n = 0; n < 5; n++) life.process.idle();
  assert.equal(world.disk.prepare("SELECT count(*) AS n FROM event").get()?.n, 0);
  const replayed = life.ledger.replay(seq, "r/s");
  await life.settle();
  assert.deepEqual(await replayed, { replay: 1 });
  const again = await one(life, subscription);
  assert.equal(Buffer.from(again.event.body).toString(), "body");
  assert.equal(Buffer.from(again.cause!.body).toString(), "cause");
  assert.equal(again.replay, 1);
});

test("J6: nothing expires by age while the clock can't be trusted", async () => {
  const world = newWorld();
  const life = await start(world, definition({ backlog: { ageMs: 2 * DAY, bytes: 1e9 } }));
  await append(world, life);
  const subscription = life.ledger.subscription("r/s")!;
  life.trusted = false;
  world.clock.pass(3 * DAY);
  const measured = life.ledger.measure();
  await life.settle();
  await measured;
  assert.equal(counts(subscription).expired, 0);
  life.trusted = true;
  const again = life.ledger.measure();
  await life.settle();
  await again;
  assert.equal(counts(subscription).expired, 1);
  assert.equal(subscription.lag(), null);
});

test("a stepped clock neither lengthens nor shortens a sink's hold beyond what it was", async () => {
  const world = newWorld();
  const life = await start(world, definition());
  const now = world.clock.wall();
  life.ledger.setSinkState("s", { hold: { until: now + 5000, ms: 5000 }, paused: null, breaker: null });
  await life.settle();
  world.crash();
  world.clock.step(-DAY);
  const next = await start(world, definition());
  const { hold } = next.ledger.sinkState("s");
  assert.equal(hold?.until, world.clock.wall() + 5000);
});

test("a subscription that a crash kept from being told of its reload finds it on disk", async () => {
  const world = newWorld();
  const life = await start(world, definition());
  void life.ledger.reconcile([definition({ name: "new/s", was: null })]).catch(() => {});
  life.process.write();
  world.crash();
  await microtasks();
  const next = await start(world, definition({ name: "new/s" }));
  const names = next.ledger.subscriptions().map((each) => [each.definition.name, each.active]);
  assert.deepEqual(names, [
    ["r/s", false],
    ["new/s", true],
  ]);
});

test("J6: a start that changes no subscription writes nothing for them, as it must on a full disk", () => {
  const storage = openStorage({ file: ":memory:" });
  migrate(storage, 1);
  const store = createLedgerStore(storage);
  const reconcile = (...definitions: SubscriptionDefinition[]) => {
    const before = Number(storage.prepare("SELECT total_changes() AS n").get()?.n);
    const append = () => assert.fail("nothing is appended");
    store.command({ kind: "reconcile", definitions, now: 1 }, append, 1000);
    return Number(storage.prepare("SELECT total_changes() AS n").get()?.n) - before;
  };
  const [one, two] = [definition(), definition({ name: "q/s", order: "none" })];
  assert.ok(reconcile(one, two) > 0);
  assert.equal(reconcile(one, two), 0);
  assert.equal(reconcile({ ...one, order: "none" }, two), 1);
  assert.equal(reconcile(one), 2);
  assert.equal(reconcile(one, two), 1);
  assert.equal(reconcile(two, one), 0);
  storage.close();
});
