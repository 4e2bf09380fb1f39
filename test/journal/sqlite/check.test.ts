import assert from "node:assert/strict";
import { test } from "node:test";
import { LeatError } from "../../../src/errors.ts";
import { openingError } from "../../../src/journal/sqlite/check.ts";

const IOERR_FSYNC = 10 | (4 << 8);

const sqlite = (errcode: number) =>
  Object.assign(new Error("disk I/O error"), { code: "ERR_SQLITE_ERROR", errcode });

test("what keeps a journal from being opened is the disk's fault, the file's, or for want of room; each says what to do", () => {
  for (const [errcode, kind, code] of [
    [IOERR_FSYNC, "storage", "journal_lost"],
    [11, "damaged", "journal_damaged"],
    [26, "damaged", "journal_damaged"],
    [13, "unavailable", "journal_full"],
  ] as const) {
    const error = openingError(sqlite(errcode));
    assert.ok(error instanceof LeatError);
    assert.deepEqual([error.kind, error.code], [kind, code]);
    assert.ok((error.hint ?? "") !== "");
  }
  const defect = new TypeError("a defect");
  assert.equal(openingError(defect), defect);
  const refused = new LeatError("damaged", "journal_newer", "newer");
  assert.equal(openingError(refused), refused);
});
