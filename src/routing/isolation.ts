/**
 * Evaluations in a thread of their own: those that took too long on the main thread, or were too large for it.
 *
 * There is one worker, started at the first need. It has one evaluation at a time, so that what it is killed for, or
 * dies of, is known; the others wait here and go to the next worker.
 *
 *     none ──first question──► starting ──"ready"──► idle ⇄ busy
 *      ▲                          │                          │
 *      └──────── died (failed to start, ran out of memory) or killed (hung) ◄┘
 */
import { Worker } from "node:worker_threads";
import { EvaluationError, type EvaluationFault } from "./evaluation-error.ts";
import { watchForHang } from "./hang.ts";
import { type Parcel, pack } from "./parcel.ts";
import type { Json } from "./plain.ts";

export interface Question {
  readonly id: number;
  readonly source: string;
  readonly parcel: Parcel;
}

export type Answer =
  | { readonly id: number; readonly value: Json | undefined }
  | { readonly id: number; readonly fault: EvaluationFault; readonly message: string };

interface Job {
  readonly id: number;
  readonly source: string;
  readonly scope: object;
  readonly resolve: (value: Json | undefined) => void;
  readonly reject: (error: EvaluationError) => void;
  /** A worker died of it, or beside it, once already. */
  wasLost: boolean;
}

/** Room for an event of 16 MiB, decoded. */
const MEMORY_MIB = 256;
/** A worker that doesn't start (no memory, no thread to be had) may do so soon; what waits is failed after so many. */
const MAX_STARTS = 5;
const RESTART_AFTER_MS = 1_000;

const file = new URL(
  `./expression-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`,
  import.meta.url,
);

class Isolation {
  readonly #waiting: Job[] = [];
  #worker: Worker | null = null;
  #ready = false;
  #job: Job | null = null;
  /** Until a worker that didn't start is tried again. */
  #timer: NodeJS.Timeout | undefined;
  #stopWatching: () => void = () => {};
  /** Starts in a row that came to nothing. */
  #failedStarts = 0;
  #lastId = 0;

  evaluate(source: string, scope: object): Promise<Json | undefined> {
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      this.#waiting.push({ id: this.#lastId, source, scope, resolve, reject, wasLost: false });
      this.#next();
    });
  }

  /** Ends the worker; what waits for it is rejected. A later evaluation starts another one. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    const jobs = [...(this.#job === null ? [] : [this.#job]), ...this.#waiting.splice(0)];
    this.#forget();
    for (const job of jobs) job.reject(new EvaluationError("stopped", "Leat is stopping"));
    await worker?.terminate();
  }

  #next(): void {
    if (this.#worker === null && this.#waiting.length > 0) this.#start();
    if (!this.#ready || this.#job !== null) return;
    const job = this.#waiting.shift();
    if (job === undefined) {
      // An idle worker doesn't keep the process alive.
      this.#worker?.unref();
      return;
    }
    try {
      this.#worker?.postMessage({ id: job.id, source: job.source, parcel: pack(job.scope) });
    } catch (error) {
      job.reject(new EvaluationError("expression", "what it would look at can't be copied", error));
      this.#next();
      return;
    }
    this.#job = job;
    this.#worker?.ref();
    // It ends an evaluation by itself after 200 ms (`WORKER_LIMITS`), except inside a single step of it.
    if (this.#worker !== null) this.#stopWatching = watchForHang(this.#worker, () => this.#kill(job));
  }

  #start(): void {
    const worker = new Worker(file, {
      name: "leat-expressions",
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB, maxYoungGenerationSizeMb: 32 },
      // What it is started with is none of an expression's business.
      env: {},
      execArgv: [],
      argv: [],
    });
    this.#worker = worker;
    let startFailure: unknown;
    worker.on("message", (message: "ready" | Answer) => {
      if (worker !== this.#worker) return;
      if (message === "ready") {
        this.#ready = true;
        this.#failedStarts = 0;
      } else this.#settle(message);
      this.#next();
    });
    worker.on("error", (error) => {
      startFailure = error;
    });
    worker.on("exit", () => {
      if (worker === this.#worker) this.#died(startFailure);
    });
  }

  #settle(answer: Answer): void {
    const job = this.#job;
    if (job?.id !== answer.id) return;
    this.#stopWatching();
    this.#job = null;
    if ("fault" in answer) job.reject(new EvaluationError(answer.fault, answer.message));
    else job.resolve(answer.value);
  }

  #kill(job: Job): void {
    const worker = this.#worker;
    this.#forget();
    job.reject(new EvaluationError("timeout", "it didn't end, and its thread was ended"));
    void worker?.terminate();
    if (this.#waiting.length > 0) this.#next();
  }

  #died(error: unknown): void {
    const [job, started] = [this.#job, this.#ready];
    this.#forget();
    if (job !== null && !job.wasLost) {
      // What it died of may be what an earlier one left behind: only in a worker of its own is it sure.
      job.wasLost = true;
      this.#waiting.unshift(job);
    } else job?.reject(deathOf(error));
    if (this.#waiting.length === 0) return;
    if (started) this.#next();
    else this.#startFailed(error);
  }

  #startFailed(error: unknown): void {
    this.#failedStarts += 1;
    if (this.#failedStarts < MAX_STARTS) {
      this.#timer = setTimeout(() => this.#next(), RESTART_AFTER_MS);
      return;
    }
    this.#failedStarts = 0;
    const failure = new EvaluationError("stopped", "the expression worker doesn't start", error);
    for (const job of this.#waiting.splice(0)) job.reject(failure);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#stopWatching();
    this.#worker = null;
    this.#ready = false;
    this.#job = null;
  }
}

function deathOf(error: unknown): EvaluationError {
  const memory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  return memory
    ? new EvaluationError("memory", `it took more than ${MEMORY_MIB} MiB of memory`, error)
    : new EvaluationError("expression", "the thread it ran in ended", error);
}

const isolation = new Isolation();

/**
 * Evaluates in the worker.
 * @throws EvaluationError
 */
export function evaluateIsolated(source: string, scope: object): Promise<Json | undefined> {
  return isolation.evaluate(source, scope);
}

/** Ends the worker, when the daemon stops. What waits for it is rejected. */
export function stopIsolation(): Promise<void> {
  return isolation.stop();
}
