/** What every engine's stream index owes: one suite, called with a way to open one. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ChannelSelection, StreamFrame } from "../../src/component.ts";
import type { StreamIndex } from "../../src/journal/journal.ts";

export interface OpenedIndex {
  readonly index: StreamIndex;
  /** Closes it and opens it again over what it had stored. */
  reopen(): Promise<OpenedIndex>;
  close(): Promise<void>;
}

export function frame(channel: string, body: string, time = 1_000_000): StreamFrame {
  return { channel, type: "t", id: `id-${body}`, time, body: Buffer.from(body) };
}

const exact = (...names: string[]): ChannelSelection => ({ exact: names, patterns: [] });
const patterns = (...names: string[]): ChannelSelection => ({ exact: [], patterns: names });

/** Pages through to the end; fails when a page makes no progress. */
async function readAll(index: StreamIndex, stream: string, after: number, wants = exact("a"), limit = 3) {
  const { newest } = await index.bounds(stream);
  const all: string[] = [];
  for (let at = after; at < newest; ) {
    const page = await index.read(stream, at, wants, limit);
    assert.ok(page.through > at, `no progress after ${at}`);
    for (const { seq, channel, body } of page.frames) {
      assert.ok(seq > at && seq <= page.through);
      all.push(`${seq}:${channel}:${Buffer.from(body)}`);
    }
    at = page.through;
  }
  return all;
}

export function streamIndexConformance(engine: string, open: () => Promise<OpenedIndex>): void {
  describe(`stream index of ${engine}`, () => {
    let opened: OpenedIndex;
    before(async () => {
      opened = await open();
    });
    after(() => opened.close());

    test("a stream nobody wrote has nothing", async () => {
      const { index } = opened;
      assert.deepEqual(await index.bounds("nothing"), { oldest: 0, newest: 0 });
      assert.deepEqual(await index.read("nothing", 7, exact("a"), 10), { frames: [], through: 7 });
      assert.equal(await index.retain("nothing", 1), 0);
      assert.equal(await index.seqAt("nothing", 5), 0);
    });

    test("frames come back in seq order with all that was written", async () => {
      const { index } = opened;
      await index.write([{ stream: "whole", seq: 101, frames: [frame("a", "x"), frame("b", "y")] }]);
      await index.write([{ stream: "whole", seq: 103, frames: [frame("a", "z", 2_000_000)] }]);
      const page = await index.read("whole", 100, exact("a"), 10);
      assert.deepEqual(
        page.frames.map((one) => ({ ...one, body: String(Buffer.from(one.body)) })),
        [
          { seq: 101, channel: "a", type: "t", id: "id-x", time: 1_000_000, body: "x" },
          { seq: 103, channel: "a", type: "t", id: "id-z", time: 2_000_000, body: "z" },
        ],
      );
      assert.equal(page.through, 103);
      assert.deepEqual(await index.bounds("whole"), { oldest: 100, newest: 103 });
      assert.deepEqual((await index.read("whole", 103, exact("a"), 10)).frames, []);
    });

    test("an empty write moves the place only", async () => {
      const { index } = opened;
      await index.write([{ stream: "empty", seq: 5, frames: [] }]);
      await index.write([{ stream: "empty", seq: 9, frames: [] }]);
      assert.deepEqual(await index.bounds("empty"), { oldest: 4, newest: 9 });
      assert.deepEqual(await index.read("empty", 4, exact("a"), 10), { frames: [], through: 9 });
    });

    test("writing a seq again replaces it", async () => {
      const { index } = opened;
      await index.write([{ stream: "again", seq: 1, frames: [frame("a", "old"), frame("a", "older")] }]);
      await index.write([{ stream: "again", seq: 2, frames: [frame("a", "two")] }]);
      await index.write([{ stream: "again", seq: 1, frames: [frame("a", "new")] }]);
      assert.deepEqual(await readAll(index, "again", 0), ["1:a:new", "2:a:two"]);
      assert.deepEqual(await index.bounds("again"), { oldest: 0, newest: 2 });
    });

    test("history written later, from its oldest on, is missing until it is there", async () => {
      const { index } = opened;
      await index.write([{ stream: "past", seq: 50, frames: [] }]);
      assert.deepEqual(await index.bounds("past"), { oldest: 49, newest: 50 });
      await index.reach("past", 60);
      await index.reach("past", 4);
      assert.deepEqual(index.places().get("past"), {
        oldest: 4,
        newest: 50,
        missing: { after: 4, through: 49 },
      });
      let after = 4;
      for (const seq of [10, 20, 49]) {
        assert.equal((await index.read("past", 4, exact("a"), 10)).through, after);
        await index.write([{ stream: "past", seq, frames: [frame("a", `${seq}`)] }]);
        await index.fill([], { stream: "past", after, through: (after = seq) });
      }
      assert.deepEqual(index.places().get("past"), { oldest: 4, newest: 50, missing: null });
      assert.deepEqual(await readAll(index, "past", 4), ["10:a:10", "20:a:20", "49:a:49"]);
      await index.reach("nothing before", 7);
      assert.deepEqual(await index.bounds("nothing before"), { oldest: 7, newest: 7 });
    });

    test("what is written before a stream's beginning is nobody's: there may be more that is gone", async () => {
      const { index } = opened;
      await index.write([{ stream: "begun", seq: 3, frames: [frame("a", "3")] }]);
      await index.begin("begun", 21);
      await index.write([{ stream: "begun", seq: 4, frames: [frame("a", "4")] }]);
      await index.write([{ stream: "begun", seq: 22, frames: [frame("a", "22")] }]);
      assert.deepEqual(await index.bounds("begun"), { oldest: 21, newest: 22 });
      opened = await opened.reopen();
      assert.deepEqual(await opened.index.bounds("begun"), { oldest: 21, newest: 22 });
      assert.deepEqual(await readAll(opened.index, "begun", 21), ["22:a:22"]);
    });

    test("pages hold whole seqs, whatever the limit", async () => {
      const { index } = opened;
      const entries = [];
      const want: string[] = [];
      for (let seq = 1; seq <= 40; seq++) {
        const frames = [];
        for (let n = 0; n < seq % 7; n++) {
          const channel = n % 2 === 0 ? "a" : "b";
          frames.push(frame(channel, `${seq}.${n}`));
          want.push(`${seq}:${channel}:${seq}.${n}`);
        }
        entries.push({ stream: "pages", seq, frames });
      }
      await index.write(entries);
      for (const limit of [1, 2, 3, 5, 100]) {
        assert.deepEqual(await readAll(index, "pages", 0, exact("a", "b"), limit), want);
        assert.deepEqual(await readAll(index, "pages", 0, patterns("*"), limit), want);
        const onlyB = want.filter((one) => one.includes(":b:"));
        assert.deepEqual(await readAll(index, "pages", 0, exact("b", "b"), limit), onlyB);
      }
      assert.deepEqual(
        await readAll(index, "pages", 38, exact("a", "b")),
        want.filter((one) => /^(39|40):/.test(one)),
      );
    });

    test("a page is bounded in bytes and still makes progress", async () => {
      const { index } = opened;
      const big = "x".repeat(300_000);
      const entries = [1, 2, 3].map((seq) => ({
        stream: "big",
        seq,
        frames: [frame("a", big), frame("a", big)],
      }));
      await index.write(entries);
      const page = await index.read("big", 0, exact("a"), 1000);
      assert.equal(page.through, 1);
      assert.equal(page.frames.length, 2);
      assert.equal((await readAll(index, "big", 0)).length, 6);
    });

    test("patterns select by segment, and a sparse one reaches the end", async () => {
      const { index } = opened;
      const entries = [];
      for (let seq = 1; seq <= 5000; seq++) {
        const channel = seq === 4500 ? "room.1" : seq === 4600 ? "room.1.x" : `user.${seq}`;
        entries.push({ stream: "sparse", seq, frames: [frame(channel, "v")] });
      }
      await index.write(entries);
      assert.deepEqual(await readAll(index, "sparse", 0, patterns("room.*")), ["4500:room.1:v"]);
      assert.deepEqual(await readAll(index, "sparse", 0, patterns("room.**")), [
        "4500:room.1:v",
        "4600:room.1.x:v",
      ]);
      assert.deepEqual(await readAll(index, "sparse", 0, { exact: ["user.1"], patterns: ["room.*"] }), [
        "1:user.1:v",
        "4500:room.1:v",
      ]);
      assert.deepEqual(await readAll(index, "sparse", 0, exact("user.77")), ["77:user.77:v"]);
    });

    test("a channel's name is not a pattern", async () => {
      const { index } = opened;
      await index.write([
        { stream: "literal", seq: 1, frames: [frame("user.*", "star"), frame("user.1", "one")] },
      ]);
      assert.deepEqual(await readAll(index, "literal", 0, exact("user.*")), ["1:user.*:star"]);
    });

    test("streams don't see each other", async () => {
      const { index } = opened;
      await index.write([
        { stream: "left", seq: 1, frames: [frame("a", "l")] },
        { stream: "right", seq: 2, frames: [frame("a", "r")] },
      ]);
      assert.deepEqual(await readAll(index, "left", 0), ["1:a:l"]);
      assert.deepEqual(await readAll(index, "right", 0), ["2:a:r"]);
    });

    test("from a time to a seq, also where the clock stepped back", async () => {
      const { index } = opened;
      await index.write(
        [10_000, 10_400, 10_900, 12_000, 12_000, 20_000].map((time, at) => ({
          stream: "times",
          seq: at + 1,
          frames: [frame("a", "v", time)],
        })),
      );
      assert.equal(await index.seqAt("times", 0), 0);
      assert.equal(await index.seqAt("times", 10_400), 1);
      assert.equal(await index.seqAt("times", 10_401), 2);
      assert.equal(await index.seqAt("times", 11_000), 3);
      assert.equal(await index.seqAt("times", 15_000), 5);
      assert.equal(await index.seqAt("times", 20_001), 6);
      await index.write([{ stream: "times", seq: 7, frames: [frame("a", "v", 11_000)] }]);
      assert.ok((await index.seqAt("times", 11_000)) <= 3, "rather too much than too little");
    });

    test("retention removes what is older, raises oldest, and leaves the rest", async () => {
      const { index } = opened;
      const entries = [];
      for (let seq = 1; seq <= 1000; seq++) {
        entries.push({ stream: "kept", seq, frames: [frame("a", "v", seq * 100)] });
      }
      await index.write(entries);
      assert.equal(await index.retain("kept", 90_000), 899);
      assert.deepEqual(await index.bounds("kept"), { oldest: 899, newest: 1000 });
      assert.equal((await readAll(index, "kept", 899)).length, 101);
      assert.equal(await index.retain("kept", 90_000), 0);
      assert.equal(await index.retain("kept", 10_000_000), 101);
      assert.deepEqual(await index.bounds("kept"), { oldest: 1000, newest: 1000 });
    });

    test("who reads waits before what is missing, and goes on as it is filled", async () => {
      const { index } = opened;
      await index.write([{ stream: "lack", seq: 10, frames: [frame("a", "x"), frame("b", "x")] }]);
      await index.lack("lack", 10, 20);
      await index.write([{ stream: "lack", seq: 21, frames: [frame("a", "new")] }]);
      assert.deepEqual(index.places().get("lack"), {
        oldest: 9,
        newest: 21,
        missing: { after: 10, through: 20 },
      });
      for (const wants of [exact("a"), exact("a", "b"), patterns("*")]) {
        assert.equal((await index.read("lack", 9, wants, 10)).through, 10);
        assert.deepEqual(await index.read("lack", 10, wants, 10), { frames: [], through: 10 });
        assert.deepEqual(await index.read("lack", 15, wants, 10), { frames: [], through: 15 });
        assert.equal((await index.read("lack", 20, wants, 10)).frames[0]?.seq, 21);
      }
      await index.fill([{ stream: "lack", seq: 12, frames: [frame("a", "again")] }], {
        stream: "lack",
        after: 10,
        through: 12,
      });
      assert.deepEqual(await index.read("lack", 12, exact("a"), 10), { frames: [], through: 12 });
      const page = await index.read("lack", 10, exact("a"), 1);
      assert.deepEqual([page.frames.map(({ seq }) => seq), page.through], [[12], 12]);
      await index.fill([], { stream: "lack", after: 9, through: 20 });
      assert.deepEqual(await readAll(index, "lack", 9), ["10:a:x", "12:a:again", "21:a:new"]);
      assert.equal(index.places().get("lack")?.missing, null);
    });

    test("retention keeps off what is missing until it is there; what will never be there begins later", async () => {
      const { index } = opened;
      const write = (seq: number) =>
        index.write([{ stream: "hole", seq, frames: [frame("a", "v", seq * 1000)] }]);
      for (const seq of [1, 2, 3, 40, 41]) await write(seq);
      await index.lack("hole", 3, 39);
      assert.equal(await index.seqAt("hole", 20_000), 3, "the times of what is missing aren't known");
      await index.retain("hole", 20_000);
      assert.deepEqual(await index.bounds("hole"), { oldest: 3, newest: 41 });
      await index.begin("hole", 30);
      assert.deepEqual(index.places().get("hole"), {
        oldest: 30,
        newest: 41,
        missing: { after: 30, through: 39 },
      });
      await write(39);
      await index.fill([], { stream: "hole", after: 30, through: 39 });
      await index.retain("hole", 40_000);
      assert.deepEqual(await index.bounds("hole"), { oldest: 39, newest: 41 });
      assert.deepEqual(await readAll(index, "hole", 39), ["40:a:v", "41:a:v"]);
    });

    test("what is written within what is missing stays missing with what lies before it", async () => {
      const { index } = opened;
      await index.lack("within", 10, 20);
      await index.write([{ stream: "within", seq: 15, frames: [frame("a", "live")] }]);
      await index.fill([], { stream: "within", after: 15, through: 20 });
      const missing = { after: 10, through: 20 };
      assert.deepEqual(index.places().get("within"), { oldest: 10, newest: 20, missing });
      assert.deepEqual(await index.read("within", 10, exact("a"), 10), { frames: [], through: 10 });
      await index.fill([{ stream: "within", seq: 12, frames: [frame("a", "before")] }], {
        stream: "within",
        after: 10,
        through: 20,
      });
      assert.deepEqual(await readAll(index, "within", 10), ["12:a:before", "15:a:live"]);
    });

    test("a page of the past that comes when all of that is gone brings back none of it", async () => {
      const { index } = opened;
      await index.lack("gone", 0, 17);
      await index.write([{ stream: "gone", seq: 21, frames: [frame("a", "live")] }]);
      const page = (through: number) =>
        index.fill(
          [7, 12].map((seq) => ({ stream: "gone", seq, frames: [frame("a", `${seq}`)] })),
          { stream: "gone", after: 0, through },
        );
      await index.begin("gone", 10);
      await page(15);
      const missing = { after: 15, through: 17 };
      assert.deepEqual(index.places().get("gone"), { oldest: 10, newest: 21, missing });
      const { frames, through } = await index.read("gone", 10, exact("a"), 10);
      assert.deepEqual([frames.map(({ seq }) => seq), through], [[12], 15]);
      await index.begin("gone", 28);
      await page(17);
      assert.deepEqual(index.places().get("gone"), { oldest: 28, newest: 28, missing: null });
      assert.deepEqual(await index.read("gone", 27, exact("a"), 10), { frames: [], through: 28 });
      opened = await opened.reopen();
      assert.deepEqual(opened.index.places().get("gone"), { oldest: 28, newest: 28, missing: null });
    });

    test("what is missing twice is missing once, and also before all that is there", async () => {
      const { index } = opened;
      await index.write([{ stream: "twice", seq: 50, frames: [frame("a", "v")] }]);
      await index.lack("twice", 50, 60);
      await index.lack("twice", 20, 49);
      const missing = { after: 20, through: 60 };
      assert.deepEqual(index.places().get("twice"), { oldest: 20, newest: 60, missing });
      await index.lack("unheard", 0, 7);
      assert.deepEqual(index.places().get("unheard"), {
        oldest: 0,
        newest: 7,
        missing: { after: 0, through: 7 },
      });
    });

    test("what a stream hasn't got of what it owes is missing, and what it has stays", async () => {
      const { index } = opened;
      await index.write([{ stream: "owes", seq: 10, frames: [frame("a", "v")] }]);
      await index.owe("owes", 9);
      await index.owe("owes", 10);
      assert.deepEqual(index.places().get("owes"), { oldest: 9, newest: 10, missing: null });
      await index.owe("owes", 12);
      const missing = { after: 10, through: 12 };
      assert.deepEqual(index.places().get("owes"), { oldest: 9, newest: 12, missing });
      await index.owe("owes", 12);
      assert.deepEqual(index.places().get("owes"), { oldest: 9, newest: 12, missing });
      assert.equal((await index.read("owes", 9, exact("a"), 10)).through, 10);
      await index.owe("owes nothing yet", 3);
      assert.deepEqual(index.places().get("owes nothing yet"), {
        oldest: 0,
        newest: 3,
        missing: { after: 0, through: 3 },
      });
    });

    test("a stream takes its frames along to another name, but to none that is taken", async () => {
      const { index } = opened;
      await index.write([{ stream: "before", seq: 7, frames: [frame("a", "v")] }]);
      await index.lack("before", 7, 9);
      await index.write([{ stream: "taken", seq: 8, frames: [frame("a", "own")] }]);
      await index.rename("before", "taken");
      assert.deepEqual(await readAll(index, "taken", 7), ["8:a:own"]);
      await index.rename("before", "afterwards");
      await index.rename("nowhere", "else");
      assert.deepEqual(await index.bounds("before"), { oldest: 0, newest: 0 });
      assert.deepEqual(await index.read("before", 6, exact("a"), 10), { frames: [], through: 6 });
      assert.deepEqual((await index.read("afterwards", 6, exact("a"), 10)).through, 7);
      await index.write([{ stream: "before", seq: 30, frames: [frame("a", "another")] }]);
      const places = new Map(index.places());
      opened = await opened.reopen();
      assert.deepEqual(new Map(opened.index.places()), places, "the file has what memory had");
    });

    test("what was written is there after a restart", async () => {
      await opened.index.write([{ stream: "durable", seq: 50, frames: [frame("a", "v")] }]);
      opened = await opened.reopen();
      assert.deepEqual(await readAll(opened.index, "durable", 49), ["50:a:v"]);
      assert.deepEqual(await opened.index.bounds("durable"), { oldest: 49, newest: 50 });
    });
  });
}
