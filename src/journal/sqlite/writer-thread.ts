/**
 * The writer's thread: opens `journal.db`, then hands messages to the writer one after the other, and uses the turns in
 * between for retention and checkpoints.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { JournalTuning } from "../journal.ts";
import { openChecked, openingError } from "./check.ts";
import type { Group } from "./group.ts";
import { createLedgerStore } from "./ledger-store.ts";
import { migrate } from "./schema.ts";
import type { Watermark } from "./space.ts";
import type { Storage } from "./storage.ts";
import { plainError, WriterHost } from "./writer-host.ts";
import type { FromWriter, ToWriter } from "./writer-messages.ts";

export interface WriterThreadData {
  readonly file: string;
  readonly tuning: JournalTuning;
  readonly watermark: Watermark;
  readonly ballastBytes: number;
  readonly seed: number;
  readonly now: number;
}

const port = parentPort;
if (port === null) throw new Error("writer-thread.ts runs as a worker thread");
const post = (message: FromWriter) => port.postMessage(message);

let storage: Storage | null = null;
try {
  const { file, tuning, watermark, ballastBytes, seed, now }: WriterThreadData = workerData;
  storage = openChecked(file);
  migrate(storage, now);
  const host = new WriterHost({ storage, ledger: createLedgerStore, tuning, watermark, ballastBytes, seed });
  const begin = serve(host);
  post({ kind: "ready", start: host.start });
  begin();
} catch (error) {
  storage?.close();
  post({ kind: "refused", error: plainError(openingError(error)) });
  port.close();
}

/** Returns what begins the work that can wait. */
function serve(host: WriterHost): () => void {
  let between = false;
  let rows = 0;
  /** What can wait; true when there is more of it. */
  const step = () => {
    host.checkpoint();
    return host.idle(rows);
  };
  /** Runs when no message waits, or between two. */
  const turn = () => {
    between = false;
    if (step()) again();
  };
  const again = () => {
    if (between) return;
    between = true;
    setImmediate(turn);
  };
  port?.on("message", (message: ToWriter) => {
    rows = 0;
    // What has come by now is handled in one go, so that groups among it share a transaction.
    let next: ToWriter | undefined = message;
    while (next !== undefined) {
      if (next.kind === "group") {
        const taken = takeGroups(next.group);
        rows = taken.rows;
        post(host.commit(taken.groups));
        next = taken.behind;
        // Where more comes than can be written this never ends: without a step here the WAL would grow for as long.
        if (next !== undefined) step();
        continue;
      }
      const answer = host.handle(next);
      if (answer !== null) post(answer);
      if (next.kind === "close") {
        port.close();
        return;
      }
      next = received();
    }
    again();
  });
  return again;
}

/** A transaction holds at most so much, so that no commit takes long: some 25 ms for small events, of which the fsync is a few. */
const EVENTS = 3000;
const BYTES = 8 * 1024 * 1024;

/** `first` and the groups that wait right behind it; `behind`: the message that ended them, if one did. */
function takeGroups(first: Group): { groups: Group[]; rows: number; behind: ToWriter | undefined } {
  const groups = [first];
  let rows = first.appends.count;
  let bytes = first.appends.bytes.byteLength;
  for (;;) {
    const behind = received();
    if (behind?.kind !== "group") return { groups, rows, behind };
    const { appends } = behind.group;
    if (rows + appends.count > EVENTS || bytes + appends.bytes.byteLength > BYTES) {
      return { groups, rows, behind };
    }
    groups.push(behind.group);
    rows += appends.count;
    bytes += appends.bytes.byteLength;
  }
}

/** The next message that waits. */
function received(): ToWriter | undefined {
  return port === null ? undefined : (receiveMessageOnPort(port)?.message as ToWriter | undefined);
}
