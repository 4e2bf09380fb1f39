/** The checkpoint thread as the main thread sees it. Without it the writer moves the WAL by itself, only less smoothly. */
import { Worker } from "node:worker_threads";
import type { Logger } from "../../ports.ts";
import type { CheckpointThreadData } from "./checkpoint-thread.ts";

export interface Checkpointer {
  close(): Promise<void>;
}

export function startCheckpointer(file: string, log: Logger): Checkpointer {
  const workerData: CheckpointThreadData = { file };
  const url = new URL(
    import.meta.url.endsWith(".ts") ? "checkpoint-thread.ts" : "checkpoint-thread.js",
    import.meta.url,
  );
  const worker = new Worker(url, { workerData, name: "journal checkpoints" });
  const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  worker.on("error", (err) =>
    log.warn({ err }, "the journal's checkpoint thread has ended; the writer goes on without"),
  );
  return {
    close() {
      worker.postMessage("close");
      return ended;
    },
  };
}
