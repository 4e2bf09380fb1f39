import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Event } from "../../../src/event.ts";
import { newEvent } from "../../conformance/log.ts";
import { newFolder, openAt } from "./journal-kit.ts";

const CHILD = new URL("append-child.ts", import.meta.url).pathname;
const KILLS = 8;

/** Runs the child until it has acknowledged `enough` events, kills it, and returns all that it acknowledged. */
async function killed(path: string, run: number, enough: number): Promise<Map<number, string>> {
  const child = spawn(process.execPath, [CHILD, path, `run${run}`], { stdio: ["ignore", "pipe", "inherit"] });
  const acknowledged = new Map<number, string>();
  let rest = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    // The last one may have been cut off by the kill.
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [seq, id] = line.split(" ");
      if (id !== undefined) acknowledged.set(Number(seq), id);
    }
    if (acknowledged.size >= enough) child.kill("SIGKILL");
  });
  await once(child, "close");
  assert.equal(child.signalCode, "SIGKILL");
  return acknowledged;
}

test("J1, J5: kill -9 under load loses nothing that was acknowledged, and keeps nothing twice", async () => {
  const path = newFolder();
  const acknowledged = new Map<number, string>();
  for (let run = 0; run < KILLS; run++) {
    for (const [seq, id] of await killed(path, run, 300 + run * 217)) {
      assert.ok(!acknowledged.has(seq), `seq ${seq} was given out twice`);
      acknowledged.set(seq, id);
    }
  }
  const { journal, close } = await openAt(path);
  try {
    const events: Event[] = [];
    for (;;) {
      const page = await journal.log.read(events.at(-1)?.seq ?? 0, 5000);
      if (page.length === 0) break;
      events.push(...page);
    }
    const bySeq = new Map(events.map((event) => [event.seq, event]));
    for (const [seq, id] of acknowledged) assert.equal(bySeq.get(seq)?.id, id, `J1: ${id} was acknowledged`);
    assert.equal(new Set(events.map(({ id }) => id)).size, events.length, "no id is there twice");
    const first = events[0]?.seq ?? 0;
    assert.ok(
      events.every(({ seq }, index) => seq === first + index),
      "J5: seqs are dense",
    );
    for (const event of events) {
      assert.ok(Buffer.from(event.body).equals(Buffer.alloc(700, event.id)), "bodies are whole");
    }
    // Every id that is on disk is known as a duplicate, the unacknowledged ones too.
    const last = events.at(-1);
    assert.ok(last !== undefined);
    const again = await journal.log.append(newEvent({ id: last.id, body: last.body }), 86_400_000);
    assert.deepEqual([again.duplicate, again.seq], [true, last.seq]);
  } finally {
    await close();
  }
  const database = new DatabaseSync(join(path, "journal.db"), { readOnly: true });
  assert.deepEqual(Object.values(database.prepare("PRAGMA integrity_check").get() ?? {}), ["ok"]);
  database.close();
});
