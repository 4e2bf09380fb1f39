/**
 * One request and its answer, as an undici dispatch handler: what it costs beside the request itself is one object.
 *
 * Of the answer the first bytes are kept. A longer one is read on for a little, so that the connection can be used
 * again, and past that the socket is destroyed rather than 10 MiB read.
 */
import type { Dispatcher } from "undici";
import type { Reply, Report } from "../../component.ts";
import { failureWord, isUnsendable, retryAfterMs } from "./failure.ts";

/** Kept of an answer that becomes an event. */
const REPLY_BYTES = 64 * 1024;
/** Read of an answer before its socket is worth less than the reading. */
const MOST_READ = 256 * 1024;
const GONE = 410;

export interface ExchangeOptions {
  /** Keep a 2xx answer as a reply. */
  readonly reply: boolean;
  /** A 410 means that the sink's one address is gone. */
  readonly constantUrl: boolean;
  /** Bytes to keep of an answer. */
  readonly keep: { readonly failure: number; readonly success: number };
  readonly now: number;
  readonly signal: AbortSignal;
}

/** As undici gives them: one that comes several times is a list, whatever HTTP says of it. */
type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

export class Exchange implements Dispatcher.DispatchHandler {
  readonly report: Promise<Report>;
  readonly #resolve: (report: Report) => void;
  readonly #options: ExchangeOptions;
  readonly #onAbort: () => void;
  #controller: Dispatcher.DispatchController | null = null;
  #done = false;
  #status = 0;
  #statusText = "";
  #headers: AnswerHeaders = {};
  readonly #chunks: Buffer[] = [];
  #complete = false;
  #kept = 0;
  #read = 0;

  constructor(options: ExchangeOptions) {
    const { promise, resolve } = Promise.withResolvers<Report>();
    this.report = promise;
    this.#resolve = resolve;
    this.#options = options;
    this.#onAbort = () => this.#aborted();
    if (options.signal.aborted) this.#aborted();
    else options.signal.addEventListener("abort", this.#onAbort);
  }

  /** Nothing need be sent any more. */
  get done(): boolean {
    return this.#done;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Given up while the connection was being made: the request must not go out any more.
    if (this.#done) controller.abort(new Error("given up"));
    else this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: AnswerHeaders,
    statusMessage?: string,
  ): void {
    // 1xx are interim; the answer itself is still to come.
    if (statusCode < 200) return;
    this.#status = statusCode;
    this.#statusText = statusMessage ?? "";
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#done) return;
    this.#read += chunk.byteLength;
    const room = this.#room() - this.#kept;
    if (room > 0) {
      // A copy: a chunk is a view of the socket's buffer, and would keep all of that alive.
      const part = Buffer.from(chunk.subarray(0, room));
      this.#chunks.push(part);
      this.#kept += part.byteLength;
    }
    if (this.#read > MOST_READ) {
      const controller = this.#controller;
      this.#answered();
      controller?.abort(new Error("the answer is too long to be read"));
    }
  }

  onResponseEnd(): void {
    this.#complete = true;
    // undici takes a connection into use again one turn of the event loop after its answer. A next delivery that began
    // before would open another one, so that there were twice as many as the sink's concurrency.
    queueMicrotask(() => setImmediate(() => this.#answered()));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (isUnsendable(error)) {
      this.#end({
        result: "rejected",
        error: "unsendable",
        message: `no such request can be sent: ${error.message}`,
      });
      return;
    }
    const word = failureWord(error);
    const half = this.#status === 0 ? "" : ` after the answer's first half (status ${this.#status})`;
    this.#end({ result: "failed", error: word, message: `${error.message || word}${half}` });
  }

  #aborted(): void {
    if (this.#complete) {
      this.#answered();
      return;
    }
    const { reason } = this.#options.signal;
    const error = reason instanceof Error ? reason : new Error("given up");
    const controller = this.#controller;
    const where = this.#status === 0 ? "" : `, the answer (status ${this.#status}) being incomplete`;
    this.#end({ result: "failed", error: "timeout", message: `${error.message}${where}` });
    controller?.abort(error);
  }

  get #ok(): boolean {
    return this.#status >= 200 && this.#status < 300;
  }

  #room(): number {
    const { keep, reply } = this.#options;
    if (!this.#ok) return keep.failure;
    return reply ? REPLY_BYTES : keep.success;
  }

  #answered(): void {
    const status = this.#status;
    const body = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    if (!this.#ok) {
      this.#end(this.#refused(status, body));
      return;
    }
    const { success } = this.#options.keep;
    const answer = body.byteLength > success ? Buffer.from(body.subarray(0, success)) : body;
    this.#end({
      result: "delivered",
      status,
      ...(answer.byteLength === 0 ? {} : { answer }),
      ...(this.#options.reply ? { reply: this.#reply(body) } : {}),
    });
  }

  #reply(body: Buffer): Reply {
    const contentType = textOf(this.#headers["content-type"]) ?? null;
    return { contentType, body, truncated: this.#read > REPLY_BYTES };
  }

  #refused(status: number, body: Buffer): Report {
    const { "retry-after": after, date } = this.#headers;
    const wait = retryAfterMs(textOf(after), textOf(date), this.#options.now);
    return {
      result: "failed",
      error: "status",
      message: `the receiver answered ${status} ${this.#statusText}`.trimEnd(),
      status,
      ...(body.byteLength === 0 ? {} : { answer: body }),
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
      ...(status === GONE && this.#options.constantUrl ? { gone: true } : {}),
    };
  }

  #end(report: Report): void {
    if (this.#done) return;
    this.#done = true;
    this.#options.signal.removeEventListener("abort", this.#onAbort);
    // The connection keeps the exchange until its next one. By its controller it would keep the whole delivery, which the
    // collector then copies, and moves to where only a full collection finds it.
    this.#controller = null;
    this.#resolve(report);
  }
}

/** The first of those that come several times where HTTP knows only one. */
function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
