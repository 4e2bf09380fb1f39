/**
 * A process to be killed: appends to the journal in `argv[2]` as fast as it can and prints, for each acknowledged event,
 * a line `seq id`. Its ids begin with `argv[3]`.
 */
import { writeSync } from "node:fs";
import { openSqliteJournal } from "../../../src/journal/sqlite/open.ts";
import { newEvent } from "../../conformance/log.ts";
import { openOptions } from "./journal-kit.ts";

const journal = await openSqliteJournal(openOptions(process.argv[2] ?? ""));
tell("open\n");
let n = 0;
const appendForEver = async () => {
  for (;;) {
    const id = `${process.argv[3]}-${n++}`;
    const { seq } = await journal.log.append(newEvent({ id, body: Buffer.alloc(700, id) }), 86_400_000);
    tell(`${seq} ${id}\n`);
  }
};
await Promise.all(Array.from({ length: 50 }, appendForEver));

/** Writes to the pipe before it goes on; a full one (the parent is busy) says EAGAIN, and is waited for. */
function tell(line: string): void {
  for (;;) {
    try {
      writeSync(1, line);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
