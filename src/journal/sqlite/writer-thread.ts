/**
 * The writer's thread: opens `journal.db`, then hands messages to the writer one after the other, and uses the turns in
 * between for retention and checkpoints.
 */
import { parentPort, workerData } from "node:worker_threads";
import type { JournalTuning } from "../journal.ts";
import { openChecked } from "./check.ts";
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
  serve(host);
  post({ kind: "ready", start: host.start });
} catch (error) {
  storage?.close();
  post({ kind: "refused", error: plainError(error) });
  port.close();
}

function serve(host: WriterHost): void {
  let between = false;
  let rows = 0;
  /** Runs when no message waits, or between two. */
  const turn = () => {
    between = false;
    host.checkpoint();
    if (host.idle(rows)) again();
  };
  const again = () => {
    if (between) return;
    between = true;
    setImmediate(turn);
  };
  port?.on("message", (message: ToWriter) => {
    const answer = host.handle(message);
    if (answer !== null) post(answer);
    if (message.kind === "close") {
      port.close();
      return;
    }
    rows = message.kind === "group" ? message.group.appends.count : 0;
    again();
  });
}
