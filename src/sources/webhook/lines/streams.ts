/**
 * `stream: lines`: a request's body is no event but many, one a line, each taken as it comes. Here are all streams of one
 * source; one of them is in `stream.ts`.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SourceHost } from "../../../component.ts";
import { answerError, answerJson, type MoreHeaders } from "../../../http/answer.ts";
import { askForBody, BodyBudget } from "../../../http/body.ts";
import { letLast } from "../../../http/lasting.ts";
import type { TokenBucket } from "../../../token-bucket.ts";
import type { IntakeHeaders } from "../headers.ts";
import { type Refusal, tooManyStreams } from "../refusal.ts";
import type { StreamConfig } from "./config.ts";
import { refusalOf } from "./outcome.ts";
import { nameStream } from "./request.ts";
import { LineStream, type StreamResult } from "./stream.ts";

/** The memory that lines may take while they are not whole, per source. */
const PARTIAL_BYTES = 64 * 1024 * 1024;

export interface StreamsOptions {
  readonly host: SourceHost;
  readonly stream: StreamConfig;
  /** Of a yes. */
  readonly status: number;
  /** Bytes of a whole stream; null: no bound. */
  readonly maxBody: number | null;
  /** For bodies that come packed; `max` as `maxBody`. */
  readonly unpack: { readonly max: number | null; readonly ratio: number };
  readonly rate: TokenBucket | null;
}

export interface StreamRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly headers: IntakeHeaders;
  readonly subject: string | null;
  readonly address: string;
}

export class LineStreams {
  readonly #options: StreamsOptions;
  readonly #budget = new BodyBudget(PARTIAL_BYTES);
  /** By the id of its request. */
  readonly #open = new Map<string, { readonly stream: LineStream; readonly over: Promise<unknown> }>();
  #count = 0;
  #stopping = false;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Answers what it takes; resolves with why it takes nothing, for the caller to answer. */
  async take(begun: StreamRequest): Promise<Refusal | null> {
    const { request, response, address } = begun;
    const named = nameStream(request.rawHeaders);
    if ("refusal" in named) return named.refusal;
    // Who comes again for his own stream takes no place of another's.
    if (this.#count >= this.#options.stream.concurrency && !this.#open.has(named.name.id))
      return tooManyStreams();
    this.#count++;
    try {
      letLast(request);
      askForBody(request, response);
      const { id, firstLine } = named.name;
      const { stream, host, maxBody, unpack, rate } = this.#options;
      const lines = new LineStream({
        ...begun,
        id,
        firstLine,
        host,
        rate,
        budget: this.#budget,
        address: () => address,
        encoding: begun.headers.contentEncoding,
        bounds: { max: least(maxBody, unpack.max), ratio: unpack.ratio },
        maxLine: stream.max_line ?? Number.POSITIVE_INFINITY,
        idleMs: stream.idle,
        keepEmpty: stream.empty === "keep",
      });
      this.#answer(begun, id, await this.#inPlaceOfOthers(id, lines));
      return null;
    } finally {
      this.#count--;
    }
  }

  /** Ends all: their producers are told how far they have come, and to come again. */
  stop(): void {
    this.#stopping = true;
    for (const { stream } of this.#open.values()) stream.cut("restart");
  }

  /**
   * A producer that lost its connection may be back before we have noticed: what it left behind under this id is ended
   * first, so that no line of it gets between those of the new one.
   */
  async #inPlaceOfOthers(id: string, stream: LineStream): Promise<StreamResult> {
    for (let other = this.#open.get(id); other !== undefined; other = this.#open.get(id)) {
      other.stream.cut("superseded");
      await other.over;
    }
    if (this.#stopping) stream.cut("restart");
    const result = stream.run();
    const entry = { stream, over: result.catch(() => {}) };
    this.#open.set(id, entry);
    try {
      return await result;
    } finally {
      if (this.#open.get(id) === entry) this.#open.delete(id);
    }
  }

  #answer({ request, response }: StreamRequest, id: string, { outcome, report, seq }: StreamResult): void {
    const { stream, status } = this.#options;
    const told = { id, ...report, ...(seq === null ? {} : { seq }) };
    const headers: MoreHeaders = ["leat-request-id", id, "leat-last", String(report.last)];
    const refusal = refusalOf(outcome, stream.idle);
    if (outcome === "end") answerJson(response, status, JSON.stringify(told), headers);
    else if (refusal !== null) {
      const { status, code, message, more } = refusal;
      answerError(request, response, status, code, message, [...more, ...headers], told);
    }
  }
}

function least(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.min(one, other);
}
