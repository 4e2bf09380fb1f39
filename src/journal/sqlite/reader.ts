/** A reader's thread as the main thread sees it. */
import { Worker } from "node:worker_threads";
import { LeatError } from "../../errors.ts";
import type { Answer, Question, ReaderThreadData } from "./reader-thread.ts";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The methods of `Q`, each answered by a promise. */
export type Asked<Q> = {
  readonly [M in keyof Q]: Q[M] extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;
};

export class Reader {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;
  #ended: Error | null = null;

  /** `onLost` is called when the thread ends unasked. */
  constructor(file: string, name: string, onLost: (error: Error) => void) {
    const workerData: ReaderThreadData = { file };
    const url = new URL(
      import.meta.url.endsWith(".ts") ? "reader-thread.ts" : "reader-thread.js",
      import.meta.url,
    );
    this.#worker = new Worker(url, { workerData, name });
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    let failure: unknown;
    this.#worker.on("error", (error) => {
      failure = error;
    });
    this.#worker.on("exit", () => {
      const closing = this.#ended !== null;
      this.#ended ??= new LeatError(
        "internal",
        "reader_ended",
        "A reader's thread of the journal has ended.",
        {
          cause: failure,
        },
      );
      for (const { reject } of this.#waiting.values()) reject(this.#ended);
      this.#waiting.clear();
      if (!closing) onLost(this.#ended);
    });
  }

  /** A stand-in for the object named `to` in the thread, whose methods return promises. */
  proxy<Q extends object>(to: string, methods: readonly (keyof Q & string)[]): Asked<Q> {
    const entries = methods.map((method) => [method, (...args: unknown[]) => this.#ask(to, method, args)]);
    return Object.fromEntries(entries) as Asked<Q>;
  }

  /** Answers what was asked before, then ends. */
  async close(): Promise<void> {
    if (this.#ended !== null) return;
    this.#ended = new LeatError("unavailable", "journal_closed", "The journal is closed.");
    const ended = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    this.#worker.postMessage("close");
    await ended;
  }

  #ask(to: string, method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const number = ++this.#number;
    const question: Question = { number, to, method, args };
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#worker.postMessage(question);
    });
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if (answer.ok) waiting?.resolve(answer.value);
    else {
      const { kind, code, message, hint } = answer.error;
      waiting?.reject(new LeatError(kind, code, message, { hint }));
    }
  }
}
