/** The steps that docs/operating.md gives for a damaged journal.db without a backup, run as they stand there. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { LeatError } from "../../../src/errors.ts";
import { openSqliteJournal } from "../../../src/journal/sqlite/open.ts";
import { PAGE_BYTES } from "../../../src/journal/sqlite/storage.ts";
import { newEvent } from "../../conformance/log.ts";
import { newFolder, openAt, openOptions } from "./journal-kit.ts";

const EVENTS = 2000;
const DAY = 86_400_000;

const page = readFileSync(new URL("../../../docs/operating.md", import.meta.url), "utf8");
const steps = /^### A file is damaged$.*?^```sh\n(.*?)^```$/ms.exec(page)?.[1] ?? "";

/** A folder whose `damaged` is a journal with a destroyed page amid its events. */
async function damagedFolder(): Promise<string> {
  const folder = newFolder();
  const { journal, close } = await openAt(join(folder, "whole"));
  const body = Buffer.from("x".repeat(700));
  const event = (n: number) => newEvent({ source: "in", id: `e${n}`, body });
  await Promise.all(Array.from({ length: EVENTS }, (_, n) => journal.log.append(event(n), DAY)));
  await close();
  cpSync(join(folder, "whole"), join(folder, "damaged"), { recursive: true });
  const file = join(folder, "damaged/journal.db");
  const bytes = readFileSync(file);
  const at = Math.floor(bytes.length / PAGE_BYTES / 2) * PAGE_BYTES;
  bytes.fill(0xff, at, at + 64);
  writeFileSync(file, bytes);
  return folder;
}

const pragma = (file: string, name: string) => {
  const database = new DatabaseSync(file, { readOnly: true });
  const value = Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  database.close();
  return value;
};

test("what can be read of a damaged journal is saved by the steps in docs/operating.md", async () => {
  const folder = await damagedFolder();
  await assert.rejects(openSqliteJournal(openOptions(join(folder, "damaged"))), (error: unknown) => {
    assert.ok(error instanceof LeatError && error.code === "journal_damaged", String(error));
    assert.match(error.hint ?? "", /docs\/operating\.md/);
    return true;
  });
  assert.notEqual(steps, "", "the page has them");
  const said = execFileSync("bash", ["-ec", steps], { cwd: folder, encoding: "utf8", stdio: "pipe" });
  assert.match(said, /^ok$/m);

  const saved = join(folder, "salvaged/journal.db");
  for (const name of ["page_size", "auto_vacuum", "application_id", "user_version"]) {
    assert.equal(pragma(saved, name), pragma(join(folder, "whole/journal.db"), name), name);
  }
  const { journal, close } = await openAt(join(folder, "salvaged"));
  const events: string[] = [];
  for (let after = 0; ; ) {
    const read = await journal.log.read(after, 500);
    if (read.length === 0) break;
    events.push(...read.filter(({ type }) => type === "push").map(({ id }) => id));
    after = read.at(-1)?.seq ?? after;
  }
  assert.ok(events.length > EVENTS * 0.9 && events.length < EVENTS, `${events.length} of ${EVENTS}`);
  assert.ok(events.includes("e0") && events.includes(`e${EVENTS - 1}`), "from both ends");
  const again = await journal.log.append(newEvent({ source: "in", id: "e0" }), DAY);
  assert.ok(again.duplicate, "ids are remembered");
  assert.ok(!(await journal.log.append(newEvent({ source: "in", id: "new" }), DAY)).duplicate);
  await close();
});
