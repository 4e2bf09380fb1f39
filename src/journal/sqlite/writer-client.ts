/** The writer's thread as the main thread sees it: starts it, waits until the journal is open, and tells of its death. */
import { Worker } from "node:worker_threads";
import { LeatError } from "../../errors.ts";
import type { FromWriter, ToWriter, WriterStart } from "./writer-messages.ts";
import type { WriterThreadData } from "./writer-thread.ts";

export interface WriterClient {
  readonly start: WriterStart;
  post(message: ToWriter, transfer: readonly ArrayBuffer[]): void;
  /** Must be set right after opening. */
  listen(receive: (message: FromWriter) => void, died: (error: Error) => void): void;
  /** Resolves when the thread has ended. Post `close` first. */
  ended(): Promise<void>;
}

/** Rejects with the LeatError that kept the journal from being opened. */
export function startWriter(workerData: WriterThreadData): Promise<WriterClient> {
  const url = new URL(
    import.meta.url.endsWith(".ts") ? "writer-thread.ts" : "writer-thread.js",
    import.meta.url,
  );
  const worker = new Worker(url, { workerData, name: "journal writer" });
  let receive: (message: FromWriter) => void = () => {};
  let died: (error: Error) => void = () => {};
  let failure: unknown;
  const ended = new Promise<void>((resolve) => {
    worker.on("exit", () => {
      resolve();
      died(
        new LeatError("storage", "writer_ended", "The journal's writer has ended.", {
          cause: failure,
          hint: "What was answered before is safe. Start Leat again.",
        }),
      );
    });
  });
  worker.on("error", (error) => {
    failure = error;
  });
  return new Promise((resolve, reject) => {
    died = reject;
    worker.on("message", (message: FromWriter) => {
      if (message.kind === "refused") {
        const { kind, code, message: text, hint } = message.error;
        reject(new LeatError(kind, code, text, { hint }));
      } else if (message.kind === "ready") {
        resolve({
          start: message.start,
          post: (out, transfer) => worker.postMessage(out, transfer),
          listen(onMessage, onDeath) {
            receive = onMessage;
            died = onDeath;
          },
          ended: () => ended,
        });
      } else receive(message);
    });
  });
}
