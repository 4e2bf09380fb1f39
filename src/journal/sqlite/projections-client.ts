/**
 * The main thread's side of the projections' thread: numbers requests, and starts another thread where one has died. A
 * new one knows nothing of what the file had, so it has to be told by `open` before it is asked anything else.
 */
import { Worker } from "node:worker_threads";
import type { Logger } from "../../ports.ts";
import type {
  ProjectionsAnswer,
  ProjectionsData,
  ProjectionsFailure,
  ProjectionsRequest,
  ProjectionsResults,
} from "./projections-thread.ts";

/** The thread that has the file. `post` is answered by `answered`, in order, until `ended` is called. */
export interface IndexThread {
  post(message: IndexRequest, transfer: readonly ArrayBuffer[]): void;
  end(): Promise<unknown>;
}

export interface IndexRequest {
  readonly number: number;
  readonly request: ProjectionsRequest;
}

export interface IndexThreadHost {
  answered(answer: ProjectionsAnswer): void;
  ended(): void;
}

/** A request that failed, and how. */
export class Failed extends Error {
  readonly detail: ProjectionsFailure;

  constructor(detail: ProjectionsFailure) {
    super(detail.message);
    this.detail = detail;
  }
}

export class ProjectionsClient {
  readonly #start: (host: IndexThreadHost) => IndexThread;
  readonly #onEnd: () => void;
  #thread: IndexThread | null = null;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Failed) => void }>();
  #number = 0;
  /** Its thread is gone for good. */
  #ended = false;

  /** `onEnd`: the thread has died, and what it was asked fails. */
  constructor(start: (host: IndexThreadHost) => IndexThread, onEnd: () => void) {
    this.#start = start;
    this.#onEnd = onEnd;
  }

  /** Rejects with `Failed`. Only `open` starts a thread where there is none. */
  ask<R extends ProjectionsRequest>(request: R): Promise<ProjectionsResults[R["op"]]> {
    if (this.#ended) return Promise.reject(new Failed({ failure: "unusable", message: "it is closed" }));
    if (request.op === "open") this.#thread ??= this.#spawn();
    const thread = this.#thread;
    if (thread === null) return Promise.reject(threadEnded());
    const number = ++this.#number;
    return new Promise<ProjectionsResults[R["op"]]>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      const transfer = request.op === "write" ? [request.bytes.buffer as ArrayBuffer] : [];
      thread.post({ number, request }, transfer);
    });
  }

  /** Resolves when the file is closed and the thread has ended; rejects when the file could not be closed. */
  async close(): Promise<void> {
    const thread = this.#thread;
    try {
      if (thread !== null) await this.ask({ op: "close" });
    } finally {
      this.#ended = true;
      this.#thread = null;
      await thread?.end();
    }
  }

  #spawn(): IndexThread {
    const thread = this.#start({
      answered: (answer) => {
        const waiting = this.#waiting.get(answer.number);
        this.#waiting.delete(answer.number);
        if (answer.ok) waiting?.resolve(answer.value as never);
        else waiting?.reject(new Failed(answer));
      },
      ended: () => {
        if (this.#thread === thread) this.#thread = null;
        const lost = [...this.#waiting.values()];
        this.#waiting.clear();
        this.#onEnd();
        for (const { reject } of lost) reject(threadEnded());
      },
    });
    return thread;
  }
}

export function startIndexThread(file: string, log: Logger, host: IndexThreadHost): IndexThread {
  // Sources are run as they are, and as JavaScript once they are built.
  const entry = new URL(
    import.meta.url.endsWith(".ts") ? "./projections-thread.ts" : "./projections-thread.js",
    import.meta.url,
  );
  const data: ProjectionsData = { file };
  const worker = new Worker(entry, { workerData: data, name: "leat-projections" });
  worker.on("message", (answer: ProjectionsAnswer) => host.answered(answer));
  worker.on("error", (err) => log.error({ err, file }, "stream index thread failed"));
  worker.on("exit", () => host.ended());
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    end: () => worker.terminate(),
  };
}

function threadEnded(): Failed {
  return new Failed({ failure: "unusable", message: "its thread ended" });
}
