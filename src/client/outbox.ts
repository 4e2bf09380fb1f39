/**
 * What was asked of the server and isn't answered yet. A publish keeps its id over reconnects and is sent again until it is
 * acknowledged, so that a repeat after a lost acknowledgement is a duplicate there.
 */
import { StreamError } from "./words.ts";

/** What the other side says; fields by type, as docs/websocket.md has them. */
export interface Told {
  readonly type: string;
  readonly ref?: number;
  readonly channel?: string;
  readonly seq?: number;
  readonly code?: string;
  readonly message?: string;
  readonly retry_ms?: number;
  readonly [field: string]: unknown;
}

export type Ask = { readonly type: string; readonly [field: string]: unknown };

interface Waiting {
  readonly text: string;
  readonly resolve: (told: Told) => void;
  readonly reject: (error: StreamError) => void;
}

export class Outbox {
  readonly #bound: number;
  readonly #waiting = new Map<number, Waiting>();
  #ref = 0;
  #send: ((text: string) => void) | undefined;

  constructor(bound: number) {
    this.#bound = bound;
  }

  /** Resolves with the answer, however many connections that takes. Throws, and rejects with, StreamError. */
  ask(message: Ask): Promise<Told> {
    if (this.#waiting.size >= this.#bound) throw new StreamError("outbox_full");
    const ref = this.nextRef();
    const text = JSON.stringify({ ...message, ref });
    return new Promise((resolve, reject) => {
      this.#waiting.set(ref, { text, resolve, reject });
      this.#send?.(text);
    });
  }

  nextRef(): number {
    return ++this.#ref;
  }

  /** A connection is up: sends what is unanswered, in its order. */
  open(send: (text: string) => void): void {
    this.#send = send;
    for (const { text } of this.#waiting.values()) send(text);
  }

  lost(): void {
    this.#send = undefined;
  }

  /** Takes an answer; false: it is none to anything asked here. A refusal that names a time is asked again after it. */
  answer(told: Told): boolean {
    const ref = told.ref ?? 0;
    const waiting = this.#waiting.get(ref);
    if (!waiting) return false;
    if (told.type === "error" && told.retry_ms !== undefined) {
      setTimeout(() => this.#waiting.has(ref) && this.#send?.(waiting.text), told.retry_ms);
      return true;
    }
    this.#waiting.delete(ref);
    if (told.type === "error") waiting.reject(errorOf(told));
    else waiting.resolve(told);
    return true;
  }

  end(error: StreamError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

export function errorOf({ code = "error", message }: Told): StreamError {
  return new StreamError(code, message);
}
