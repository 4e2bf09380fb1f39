import assert from "node:assert/strict";
import { test } from "node:test";
import { loadMark } from "../../../src/journal/sqlite/notes.ts";
import { migrate } from "../../../src/journal/sqlite/schema.ts";
import { openStorage } from "../../../src/journal/sqlite/storage.ts";
import { notesConformance } from "../../conformance/notes.ts";
import { newFolder, openAt } from "./journal-kit.ts";

notesConformance("SQLite", () => openAt(newFolder()));

test("a journal that was made before there were marks goes by its birth", () => {
  const storage = openStorage({ file: ":memory:" });
  migrate(storage, 1_700_000_000_000);
  storage.exec("DELETE FROM meta WHERE name = 'mark'");
  assert.equal(loadMark(storage), (1_700_000_000_000).toString(36));
  storage.close();
});
