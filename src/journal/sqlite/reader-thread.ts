/**
 * A reader's thread: one read-only connection, one query after the other. There are two of them, so that a person's
 * search holds back no delivery: one for delivery and resuming readers, one for people.
 */
import { parentPort, workerData } from "node:worker_threads";
import { LedgerQueries } from "./ledger-queries.ts";
import { LogQueries } from "./log-queries.ts";
import { openStorage } from "./storage.ts";
import { plainError } from "./writer-host.ts";
import type { PlainError } from "./writer-messages.ts";

export interface ReaderThreadData {
  readonly file: string;
}

/** `to` names the object, `method` its method. */
export interface Question {
  readonly number: number;
  readonly to: string;
  readonly method: string;
  readonly args: readonly unknown[];
}

export type Answer =
  | { readonly number: number; readonly ok: true; readonly value: unknown }
  | { readonly number: number; readonly ok: false; readonly error: PlainError };

const port = parentPort;
if (port === null) throw new Error("reader-thread.ts runs as a worker thread");
const { file }: ReaderThreadData = workerData;
const storage = openStorage({ file, readOnly: true });
const answerers: Record<string, object> = {
  log: new LogQueries(storage),
  ledger: new LedgerQueries(storage),
};

port.on("message", (question: Question | "close") => {
  if (question === "close") {
    storage.close();
    port.close();
    return;
  }
  const answer = ask(question);
  port.postMessage(answer, answer.ok ? buffersOf(answer.value) : []);
});

function ask({ number, to, method, args }: Question): Answer {
  try {
    const answerer = answerers[to];
    const query: unknown = answerer === undefined ? undefined : Reflect.get(answerer, method);
    if (typeof query !== "function") throw new Error(`no query ${to}.${method}`);
    return { number, ok: true, value: Reflect.apply(query, answerer, args) };
  } catch (error) {
    return { number, ok: false, error: plainError(error) };
  }
}

/** A page's bytes are transferred, not copied. */
function buffersOf(value: unknown): ArrayBuffer[] {
  if (typeof value !== "object" || value === null) return [];
  const packed = "packed" in value ? value.packed : value;
  if (typeof packed !== "object" || packed === null || !("bytes" in packed)) return [];
  const { bytes } = packed;
  return bytes instanceof Uint8Array && bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : [];
}
