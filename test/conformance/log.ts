/** What every engine's `Log` owes: one suite, called with a way to open a journal. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { LeatError } from "../../src/errors.ts";
import { type Event, headerValue, type NewEvent, NO_HEADERS, packHeaders } from "../../src/event.ts";
import type { Journal } from "../../src/journal/journal.ts";
import { waitFor } from "../wait-for.ts";

export interface OpenedJournal {
  readonly journal: Journal;
  /** Closes it and opens it again over what it had stored. */
  reopen(): Promise<OpenedJournal>;
  close(): Promise<void>;
}

let ids = 0;

export function newEvent(part: Partial<NewEvent> = {}): NewEvent {
  return {
    source: "github",
    id: `id-${++ids}`,
    type: "push",
    subject: null,
    key: null,
    time: Date.now(),
    headers: NO_HEADERS,
    body: Buffer.from(`{"n":${ids}}`),
    hops: 0,
    cause: null,
    ...part,
  };
}

const DAY = 86_400_000;
const text = (event: Event) => Buffer.from(event.body).toString();

export function logConformance(engine: string, open: () => Promise<OpenedJournal>): void {
  describe(`log of ${engine}`, () => {
    let opened: OpenedJournal;
    before(async () => {
      opened = await open();
    });
    after(() => opened.close());
    const log = () => opened.journal.log;

    test("an event comes back with all that it was given", async () => {
      const event = newEvent({
        subject: "/octo/hello",
        key: "kéy",
        hops: 3,
        headers: packHeaders([
          ["Content-Type", "application/json"],
          ["X-Bytes", Uint8Array.of(0, 255, 10)],
        ]),
        body: Uint8Array.of(0, 1, 2, 255),
      });
      const { seq, id, duplicate } = await log().append(event, DAY);
      assert.equal(id, event.id);
      assert.equal(duplicate, false);
      const found = await log().get(seq);
      assert.ok(found !== null);
      const { body, headers, ...rest } = found;
      const { body: _body, headers: _headers, ...expected } = event;
      assert.deepEqual(rest, { ...expected, seq });
      assert.deepEqual([...body], [0, 1, 2, 255]);
      assert.equal(headerValue(headers, "content-type"), "application/json");
      assert.equal(headerValue(headers, "x-bytes"), "\u0000\u00ff\n");
    });

    test("the caller's bytes may change once append was called", async () => {
      const body = Buffer.from("before");
      const appending = log().append(newEvent({ body }), null);
      body.fill("x");
      const found = await log().get((await appending).seq);
      assert.equal(found && text(found), "before");
    });

    test("J5: seqs are dense and grow in the order of append", async () => {
      const start = log().bounds().newest;
      const appended = await Promise.all(Array.from({ length: 2500 }, () => log().append(newEvent(), DAY)));
      assert.deepEqual(
        appended.map(({ seq }) => seq),
        Array.from({ length: 2500 }, (_, index) => start + 1 + index),
      );
      assert.equal(log().bounds().newest, start + 2500);
    });

    test("J5: commits are told in seq order, each event once, and not before its append resolves as durable", async () => {
      const told: number[] = [];
      const stop = log().onCommit(({ first, last, events }) => {
        told.push(...events.map(({ seq }) => seq));
        assert.deepEqual([events[0]?.seq, events.at(-1)?.seq], [first, last]);
      });
      const start = log().bounds().newest;
      const appended = await Promise.all(Array.from({ length: 300 }, () => log().append(newEvent(), null)));
      stop();
      await log().append(newEvent(), null);
      assert.deepEqual(
        told,
        appended.map((_, index) => start + 1 + index),
      );
    });

    test("reading pages through everything after a seq, in order, within the limit", async () => {
      const start = log().bounds().newest;
      await Promise.all(
        Array.from({ length: 1200 }, (_, n) => log().append(newEvent({ type: `t${n}` }), null)),
      );
      const types: string[] = [];
      for (let place = start; ; ) {
        const events = await log().read(place, 100);
        if (events.length === 0) break;
        assert.ok(events.length <= 100);
        for (const { seq, type } of events) {
          assert.equal(seq, ++place);
          types.push(type);
        }
      }
      assert.deepEqual(
        types,
        Array.from({ length: 1200 }, (_, n) => `t${n}`),
      );
    });

    test("reading some sources skips the others", async () => {
      const start = log().bounds().newest;
      await Promise.all(
        Array.from({ length: 90 }, (_, n) => log().append(newEvent({ source: `s${n % 3}` }), null)),
      );
      const found = await log().read(start, 1000, ["s1", "nobody"]);
      assert.equal(found.length, 30);
      assert.ok(found.every(({ source }) => source === "s1"));
      assert.deepEqual(await log().read(start, 1000, ["nobody"]), []);
    });

    test("an unknown seq is null, and reading after the newest is empty", async () => {
      const { newest } = log().bounds();
      assert.equal(await log().get(newest + 1), null);
      assert.equal(await log().get(1), null);
      assert.deepEqual(await log().read(newest, 10), []);
    });

    test("a repeated id of one source is a duplicate, in one group and across groups", async () => {
      const event = newEvent();
      const [first, second] = await Promise.all([log().append(event, DAY), log().append(event, DAY)]);
      assert.ok(first && second);
      assert.equal(first.duplicate, false);
      assert.deepEqual(second, { seq: first.seq, id: event.id, duplicate: true, differs: false });
      const third = await log().append(event, DAY);
      assert.deepEqual(third, second);
      assert.equal(log().bounds().newest, first.seq);
    });

    test("a duplicate with another body says so and changes nothing", async () => {
      const event = newEvent({ body: Buffer.from("one") });
      const { seq } = await log().append(event, DAY);
      const again = await log().append({ ...event, body: Buffer.from("two") }, DAY);
      assert.deepEqual(again, { seq, id: event.id, duplicate: true, differs: true });
      const found = await log().get(seq);
      assert.equal(found && text(found), "one");
    });

    test("the same id of another source, or without dedupe, is a new event", async () => {
      const event = newEvent();
      const { seq } = await log().append(event, DAY);
      assert.equal((await log().append({ ...event, source: "stripe" }, DAY)).duplicate, false);
      const { seq: off, duplicate } = await log().append(event, null);
      assert.equal(duplicate, false);
      assert.ok(off > seq);
      // What came without dedupe was not remembered either: the first one is still the original.
      assert.equal((await log().append(event, DAY)).seq, seq);
    });

    test("an id past its window is new, and from then on the original", async () => {
      const event = newEvent({ time: Date.now() - 2 * DAY });
      await log().append(event, DAY);
      const again = await log().append({ ...event, time: Date.now() }, DAY);
      assert.equal(again.duplicate, false);
      const third = await log().append({ ...event, time: Date.now() }, DAY);
      assert.deepEqual([third.duplicate, third.seq], [true, again.seq]);
    });

    test("odd ids are told apart: empty, long, with NUL, with half a surrogate pair", async () => {
      for (const id of ["", "x".repeat(512), "a\u0000b", "a\u0000c", "\ud800x", "日本"]) {
        const first = await log().append(newEvent({ id, source: "odd" }), DAY);
        assert.equal(first.duplicate, false, JSON.stringify(id));
        const second = await log().append(newEvent({ id, source: "odd" }), DAY);
        assert.deepEqual([second.duplicate, second.seq], [true, first.seq], JSON.stringify(id));
      }
    });

    test("bodies from nothing to many megabytes pass untouched", async () => {
      for (const size of [0, 1, 16_384, 1 << 20, 9 << 20]) {
        const body = Buffer.alloc(size, `${size} `);
        const { seq } = await log().append(newEvent({ body }), null);
        const found = await log().get(seq);
        assert.ok(found !== null && body.equals(found.body), `${size}`);
      }
    });

    test("J1, J5: after a restart everything is there, duplicates are known, and seqs go on", async () => {
      const event = newEvent();
      const { seq } = await log().append(event, DAY);
      const before = log().bounds();
      opened = await opened.reopen();
      assert.deepEqual(log().bounds(), before);
      assert.equal((await log().get(seq))?.id, event.id);
      assert.deepEqual(await log().append(event, DAY), {
        seq,
        id: event.id,
        duplicate: true,
        differs: false,
      });
      assert.equal((await log().append(newEvent(), DAY)).seq, before.newest + 1);
    });

    test("metrics count commits and events; health is open; the writer answers", async () => {
      const before = opened.journal.metrics();
      await Promise.all(Array.from({ length: 10 }, () => log().append(newEvent(), DAY)));
      const { commits, committedEvents, committedBytes, commitSeconds, uncommittedBytes } =
        opened.journal.metrics();
      assert.ok(commits > before.commits);
      assert.equal(committedEvents, before.committedEvents + 10);
      assert.ok(committedBytes > before.committedBytes);
      assert.equal(commitSeconds.count, commits);
      assert.equal(uncommittedBytes, 0);
      assert.deepEqual(opened.journal.health().intake, { open: true });
      await opened.journal.ping(5000);
    });

    test("what waits over limits.uncommitted is refused with a wait, and nothing of it is lost or kept", async () => {
      const own = await open();
      try {
        const { journal } = own;
        const results = await Promise.allSettled(
          Array.from({ length: 100 }, () =>
            journal.log.append(newEvent({ body: Buffer.alloc(1 << 20) }), null),
          ),
        );
        const taken = results.filter(({ status }) => status === "fulfilled").length;
        for (const result of results) {
          if (result.status === "fulfilled") continue;
          assert.ok(result.reason instanceof LeatError);
          assert.deepEqual([result.reason.kind, result.reason.code], ["unavailable", "journal_busy"]);
          assert.ok((result.reason.retryAfterMs ?? 0) > 0);
        }
        assert.ok(taken >= 32 && taken < 100, `${taken}`);
        assert.equal(journal.metrics().committedEvents, taken);
        await waitFor("room again", () => journal.log.append(newEvent(), null));
      } finally {
        await own.close();
      }
    });

    test("closing commits what waits", async () => {
      const own = await open();
      const waiting = Promise.all(
        Array.from({ length: 100 }, () => own.journal.log.append(newEvent(), null)),
      );
      const again = await own.reopen();
      assert.equal((await waiting).length, 100);
      assert.equal(again.journal.metrics().events, 100);
      await again.close();
    });
  });
}
