/** Loss 0 and repeats 0, whatever happens to connections, to readers and to the daemon. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../wait-for.ts";
import type { ParsedEvent } from "./sse-parser.ts";
import { frame, StreamUnderTest, TestReader, temporaryFolder } from "./stream-kit.ts";

after(() => StreamUnderTest.closeAll());

/** A client as a browser is: comes back with its last id, until it has seen the last event. */
class Client {
  readonly seen: string[] = [];
  lastEventId = "";
  gaps = 0;
  connections = 0;
  done = false;
  #reader: TestReader | null = null;
  readonly #url: () => string;
  readonly #last: string;

  constructor(url: () => string, last: string) {
    this.#url = url;
    this.#last = last;
  }

  async run(): Promise<void> {
    while (!this.done) {
      const headers = this.lastEventId ? { "last-event-id": this.lastEventId } : undefined;
      this.connections++;
      const reader = new TestReader(this.#url(), headers ?? {}, (events) => this.#take(events));
      this.#reader = reader;
      await reader.opened;
      await waitFor("the end of a connection", () => reader.ended || this.done, 60_000);
      // What a cut connection said last counts only as far as the parser had it.
      if (reader.parser.lastEventId) this.lastEventId = reader.parser.lastEventId;
      reader.close();
      if (!this.done) await sleep(5);
    }
  }

  drop(): void {
    this.#reader?.close();
  }

  #take(events: readonly ParsedEvent[]): void {
    for (const { type, data } of events) {
      if (type === "gap") this.gaps++;
      if (type !== "message") continue;
      this.seen.push(data);
      if (data === this.#last) this.done = true;
    }
  }
}

/** Reproducible: the seed is in the failure's message by way of the test's name. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const SEED = Number(process.env.LEAT_SEED ?? 20261121);

test(`100 clients cut at random see each event of their channels once, in order (seed ${SEED})`, async () => {
  const stream = await StreamUnderTest.start();
  const random = chance(SEED);
  const EVENTS = 1500;
  await stream.publish(1000, []);
  const clients = Array.from({ length: 100 }, (_, at) => {
    const query = at % 3 === 0 ? "channel=a" : at % 3 === 1 ? "channel=a&channel=b" : "channel=*";
    return new Client(() => `${stream.url}?${query}`, "end");
  });
  for (const client of clients) client.lastEventId = "1000";
  const running = clients.map((client) => client.run());
  const wanted: { channel: string; data: string }[] = [];
  for (let n = 0; n < EVENTS; n++) {
    const frames =
      n % 10 === 9 ? [] : [frame(n % 2 ? "a" : "b", `${n}`), ...(n % 5 ? [] : [frame("a", `${n}'`)])];
    wanted.push(...frames.map(({ channel, body }) => ({ channel, data: String(Buffer.from(body)) })));
    void stream.publish(1001 + n, frames);
    if (random() < 0.3) clients[Math.floor(random() * clients.length)]?.drop();
    if (n % 10 === 0) await sleep(1);
  }
  await stream.publish(1001 + EVENTS, [frame("a", "end")]);
  await Promise.all(running);
  for (const [at, client] of clients.entries()) {
    const mine = wanted.filter(({ channel }) => at % 3 !== 0 || channel === "a").map(({ data }) => data);
    assert.deepEqual(client.seen, [...mine, "end"], `client ${at}, ${client.connections} connections`);
    assert.equal(client.gaps, 0);
  }
  assert.ok(clients.reduce((sum, { connections }) => sum + connections, 0) > 300);
  await stream.close();
});

test("a daemon killed again and again: what is committed reaches every reader once", async () => {
  const folder = temporaryFolder();
  let stream = await StreamUnderTest.start({}, folder);
  const { port } = stream;
  const EVENTS = 600;
  await stream.publish(10, []);
  const clients = Array.from(
    { length: 20 },
    () => new Client(() => `http://127.0.0.1:${port}/events?channel=a`, "end"),
  );
  for (const client of clients) client.lastEventId = "10";
  const running = clients.map((client) => client.run());
  // As delivery does: an event is settled once it is in the index; the others are handed out again after a restart.
  let settled = 10;
  for (let n = 1; n <= EVENTS; n++) {
    const seq = 10 + n;
    const written = stream.publish(seq, [frame("a", n === EVENTS ? "end" : `${n}`)]);
    written.then(
      () => {
        settled = Math.max(settled, seq);
      },
      () => {},
    );
    if (n % 150 === 75) {
      stream.committed = seq;
      await stream.kill();
      stream = await StreamUnderTest.start({}, folder, port);
      stream.committed = seq;
      for (let again = settled + 1; again <= seq; again++)
        await stream.publish(again, [frame("a", `${again - 10}`)]);
    }
    if (n % 20 === 0) await sleep(2);
  }
  await Promise.all(running);
  const wanted = [...Array.from({ length: EVENTS - 1 }, (_, at) => `${at + 1}`), "end"];
  for (const client of clients) {
    assert.deepEqual(client.seen, wanted);
    assert.equal(client.gaps, 0);
  }
  await stream.close();
});

describe("slow readers", () => {
  const BODY = "x".repeat(10_000);

  test("one that stalls loses nothing once it reads again, and holds back nobody", async () => {
    const stream = await StreamUnderTest.start({ max_buffer: "64KiB" });
    await stream.publish(1, []);
    const slow = new TestReader(`${stream.url}?channel=a`);
    const fast = new TestReader(`${stream.url}?channel=a`);
    await Promise.all([slow.opened, fast.opened]);
    slow.stall();
    const EVENTS = 2000;
    for (let n = 1; n <= EVENTS; n++) {
      const written = stream.publish(1 + n, [frame("a", `${n}:${BODY}`)]);
      if (n % 50 === 0) await written;
    }
    await waitFor("the fast one to have all", () => fast.events.length === EVENTS, 30_000);
    assert.ok(stream.metrics().stalled >= 1);
    assert.ok(slow.events.length < EVENTS);
    slow.unstall();
    await waitFor("the slow one to have all", () => slow.events.length >= EVENTS, 30_000);
    assert.deepEqual(
      slow.data.map((data) => Number(data.split(":")[0])),
      Array.from({ length: EVENTS }, (_, at) => at + 1),
    );
    assert.equal(slow.parser.lastEventId, String(1 + EVENTS));
    slow.close();
    fast.close();
    await stream.close();
  });

  test("one that takes nothing for too long is cut off, and resumes", async () => {
    const stream = await StreamUnderTest.start({ max_buffer: "64KiB", max_delay: "300ms" });
    await stream.publish(1, []);
    const reader = new TestReader(`${stream.url}?channel=a`);
    await reader.opened;
    reader.stall();
    for (let n = 1; n <= 1500; n++) {
      const written = stream.publish(1 + n, [frame("a", `${n}:${BODY}`)]);
      if (n % 50 === 0) await written;
    }
    await waitFor("the cut", () => stream.metrics().closed === 1);
    reader.unstall();
    await waitFor("its end", () => reader.ended);
    // What waited for it is followed by `bye`, where it takes that in time.
    const had = reader.events.filter(({ type }) => type === "message").length;
    assert.ok(had < 1500);
    const again = new TestReader(`${stream.url}?channel=a`, { "last-event-id": reader.parser.lastEventId });
    await waitFor("the rest", () => had + again.events.length === 1500, 30_000);
    assert.equal(again.data[0]?.split(":")[0], String(had + 1));
    again.close();
    await stream.close();
  });

  test("1,000 stalled readers, each of its own channel, take bounded memory", async () => {
    const stream = await StreamUnderTest.start();
    await stream.publish(1, []);
    const readers = Array.from({ length: 1000 }, (_, at) => new TestReader(`${stream.url}?channel=c${at}`));
    await Promise.all(readers.map(({ opened }) => opened));
    await waitFor("all", () => stream.metrics().readers === 1000);
    for (const reader of readers) reader.stall();
    const before = residentBytes();
    // 4 MB for each reader, 4 GB in all. The kernel takes some 2.5 MB each; of the rest may wait: 128 MiB in all.
    for (let n = 1; n <= 100; n++) {
      const frames = readers.map((_, at) => frame(`c${at}`, Buffer.alloc(40_000, 97 + (n % 26))));
      stream.committed = 1 + n;
      stream.sink.publish(1 + n, frames);
      await sleep(1);
    }
    const grown = residentBytes() - before;
    assert.ok(grown < 800 * 2 ** 20, `grew by ${Math.round(grown / 2 ** 20)} MiB`);
    assert.ok(stream.metrics().stalled >= 1000);
    for (const reader of readers) reader.close();
    await waitFor("none", () => stream.metrics().readers === 0);
    await stream.close();
  });
});

/** The process' resident memory, this test's clients included. */
function residentBytes(): number {
  const pages = readFileSync("/proc/self/statm", "utf8").split(" ")[1];
  return Number(pages) * 4096;
}

test("1,000 readers get each event, encoded once", async () => {
  const stream = await StreamUnderTest.start({ heartbeat: "200ms" });
  await stream.publish(1, []);
  const readers = Array.from({ length: 1000 }, () => new TestReader(`${stream.url}?channel=a`));
  await waitFor("all", () => stream.metrics().readers === 1000);
  await waitFor("all to be greeted", () => readers.every(({ parser }) => parser.comments > 0));
  for (let n = 1; n <= 20; n++) await stream.publish(1 + n, [frame("a", `${n}`)]);
  await waitFor("all events", () => readers.every(({ events }) => events.length === 20), 30_000);
  assert.equal(stream.metrics().frames, 20_000);
  await waitFor("heartbeats", () =>
    readers.every(({ parser }) => parser.comments > 1 && parser.lastEventId === "21"),
  );
  for (const reader of readers) reader.close();
  await stream.close();
});

test("1,000 readers who come back at once after a restart share what is read for them", async () => {
  const folder = temporaryFolder();
  const first = await StreamUnderTest.start({}, folder);
  for (let n = 1; n <= 100; n++) void first.publish(n, [frame("a", `${n}`)]);
  await first.publish(101, []);
  await first.kill();
  const stream = await StreamUnderTest.start({}, folder);
  const readers = Array.from(
    { length: 1000 },
    () => new TestReader(`${stream.url}?channel=a`, { "last-event-id": "50" }),
  );
  await waitFor("all", () => readers.every(({ events }) => events.length === 50), 30_000);
  assert.equal(readers.at(-1)?.data.at(-1), "100");
  for (const reader of readers) reader.close();
  await stream.close();
  rmSync(folder, { recursive: true, force: true });
});
