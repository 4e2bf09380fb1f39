/** What every engine's notes owe, and its mark. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { OpenedJournal } from "./log.ts";

export function notesConformance(engine: string, open: () => Promise<OpenedJournal>): void {
  describe(`notes of ${engine}`, () => {
    test("a note is there at once and after a restart, until another replaces it", async () => {
      let opened = await open();
      assert.equal(opened.journal.notes.get("source a"), null);
      await opened.journal.notes.set("source a", "first");
      await opened.journal.notes.set("source a", 'wörds "and" %_');
      await opened.journal.notes.set("source", "another's");
      for (let life = 0; life < 2; life++) {
        assert.equal(opened.journal.notes.get("source a"), 'wörds "and" %_');
        assert.equal(opened.journal.notes.get("source"), "another's");
        assert.equal(opened.journal.notes.get("source b"), null);
        opened = await opened.reopen();
      }
      await opened.close();
    });

    test("the mark stays the journal's own, and is no other's", async () => {
      const opened = await open();
      const other = await open();
      const { mark } = opened.journal;
      assert.match(mark, /^[0-9a-z]{4,16}$/);
      assert.notEqual(mark, other.journal.mark);
      const again = await opened.reopen();
      assert.equal(again.journal.mark, mark);
      await Promise.all([again.close(), other.close()]);
    });
  });
}
