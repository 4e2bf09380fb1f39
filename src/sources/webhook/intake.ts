/**
 * One request's way into the journal: what can be judged without the body first, then the body, its signature over the
 * bytes as they came, and the answer once the event is on disk (J1). Whoever isn't taken is told by a status, and what
 * they sent is kept as a refusal (J2).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Appended, HasEndpoint, HttpEndpoint, Source, SourceHost } from "../../component.ts";
import { answerError, answerJson } from "../../http/answer.ts";
import { BodyBudget, readBody } from "../../http/body.ts";
import { decodePath } from "../../http/target.ts";
import { TokenBucket } from "../../token-bucket.ts";
import { type IntakeHeaders, packKept, readHeaders } from "./headers.ts";
import type { StreamConfig } from "./lines/config.ts";
import { LineStreams } from "./lines/streams.ts";
import {
  forged,
  noBody,
  notAppended,
  notNow,
  notUnpacked,
  type Refusal,
  tooFast,
  unknownEncoding,
  WRONG_SUBJECT,
  wrongMethod,
} from "./refusal.ts";
import type { WebhookConfig } from "./source.ts";
import { isEncoding, UNPACK_RATIO, type UnpackBounds, unpack } from "./unpack.ts";
import type { RawHeaders, Scheme } from "./verify/scheme.ts";
import { createScheme } from "./verify/verify.ts";

/** The memory that bodies which come in pieces may take while they do, per source. */
const GATHERED_BYTES = 64 * 1024 * 1024;

/** When a sender should come back to a source that is stopping: its successor may be there already. */
const RESTART_MS = 1000;

/** Kept of a body that was refused. */
const REFUSED_BYTES = 1024;

const NOTHING = new Uint8Array(0);

export class WebhookIntake implements Source, HasEndpoint {
  readonly #config: WebhookConfig;
  readonly #host: SourceHost;
  readonly #scheme: Scheme;
  readonly #allow: string;
  readonly #rate: TokenBucket | null;
  readonly #budget = new BodyBudget(GATHERED_BYTES);
  /** Null: a request is one event. */
  readonly #lines: LineStreams | null;
  #running = 0;
  #stopping = false;
  #whenIdle: (() => void) | null = null;

  constructor(config: WebhookConfig, host: SourceHost) {
    this.#config = config;
    this.#host = host;
    this.#scheme = createScheme(config.verify);
    this.#allow = [...new Set(config.methods)].join(", ");
    this.#rate = config.rate === undefined ? null : TokenBucket.ofSource(config.rate, host.clock.monotonic());
    this.#lines = config.stream === undefined ? null : this.#createLines(config.stream);
  }

  async start(): Promise<void> {}

  /**
   * New requests are told to come back; those that have begun are finished: the listener bounds how long they take.
   * Streams, which have no bound, are ended: their producers are told how far they have come.
   */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#lines?.stop();
    if (this.#running === 0) return;
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
    });
  }

  endpoint(): HttpEndpoint {
    return {
      path: this.#config.path,
      subtree: true,
      handle: (request, response, rest) => this.#handle(request, response, rest),
    };
  }

  async #handle(request: IncomingMessage, response: ServerResponse, rest: string): Promise<void> {
    if (request.method === "OPTIONS") {
      answerJson(response, 204, "", ["allow", this.#allow]);
      return;
    }
    this.#running++;
    try {
      await this.#take(request, response, rest);
    } finally {
      this.#running--;
      if (this.#running === 0) this.#whenIdle?.();
    }
  }

  async #take(request: IncomingMessage, response: ServerResponse, rest: string): Promise<void> {
    const raw = request.rawHeaders;
    const headers = readHeaders(raw, this.#scheme.secretHeaders);
    const subject = subjectOf(rest);
    const refuse = (refusal: Refusal, body: Uint8Array) => this.#refuse(request, response, refusal, body);

    const early = this.#judgeHead(request, headers);
    if (early !== null) return refuse(early, NOTHING);
    if (subject === undefined) return refuse(WRONG_SUBJECT, NOTHING);
    if (this.#lines !== null) {
      const address = peerOf(request);
      const refusal = await this.#lines.take({ request, response, headers, subject, address });
      return refusal === null ? undefined : refuse(refusal, NOTHING);
    }

    const maxBody = this.#config.max_body ?? this.#host.maxEventBytes;
    const { body: wire, fault } = await readBody(
      request,
      response,
      maxBody,
      headers.contentLength,
      this.#budget,
    );
    if (fault === "aborted") return;
    if (fault !== null) return refuse(noBody(fault, maxBody), wire);
    const late = this.#scheme.beforeBody ? null : (this.#verify(raw, wire) ?? this.#takeToken());
    if (late !== null) return refuse(late, wire);

    let body = wire;
    if (headers.contentEncoding !== null) {
      const unpacked = await unpack(wire, headers.contentEncoding, this.#unpackBounds(maxBody));
      if (unpacked.fault !== null) return refuse(notUnpacked(unpacked.fault), wire);
      body = unpacked.body;
    }
    const { id, type } = this.#scheme.name(raw, body);
    let appended: Appended;
    try {
      appended = await this.#host.append({
        id,
        type,
        key: null,
        subject,
        headers: packKept(headers, body !== wire),
        body,
        hops: headers.hops,
        address: () => peerOf(request),
      });
    } catch (error) {
      return refuse(notAppended(error), body);
    }
    answerJson(response, this.#config.status, yes(appended));
  }

  /** What the request line and the headers tell: null when the body may come. What costs least is asked first. */
  #judgeHead(request: IncomingMessage, headers: IntakeHeaders): Refusal | null {
    const { method = "" } = request;
    if (!this.#config.methods.some((one) => one === method)) return wrongMethod(method, this.#allow);
    if (this.#stopping) return notNow("the source is stopping", RESTART_MS);
    const intake = this.#host.intake();
    if (!intake.open) return notNow(intake.reason, intake.retryAfterMs);
    const many = this.#lines === null ? this.#overRate() : null;
    if (many !== null) return many;
    const { contentEncoding } = headers;
    const decompress = this.#config.decompress !== false;
    if (contentEncoding !== null && !(decompress && isEncoding(contentEncoding))) {
      return unknownEncoding(contentEncoding, decompress);
    }
    if (!this.#scheme.beforeBody) return null;
    // A stream's lines are counted as they come.
    return this.#verify(request.rawHeaders, NOTHING) ?? (this.#lines === null ? this.#takeToken() : null);
  }

  #overRate(): Refusal | null {
    const waitMs = this.#rate?.waitMs(this.#host.clock.monotonic()) ?? 0;
    return waitMs > 0 ? tooFast(waitMs) : null;
  }

  /** Only for who is verified: strangers would use up the senders' rate. */
  #takeToken(): Refusal | null {
    const many = this.#overRate();
    if (many === null) this.#rate?.take();
    return many;
  }

  #verify(raw: RawHeaders, wire: Uint8Array): Refusal | null {
    const fault = this.#scheme.check(raw, wire, this.#host.clock.wall());
    return fault === null ? null : forged(fault, this.#scheme.challenge);
  }

  #createLines(stream: StreamConfig): LineStreams {
    const { status, max_body: maxBody = null, decompress } = this.#config;
    const bounds = typeof decompress === "object" ? decompress : { max: undefined, ratio: UNPACK_RATIO };
    return new LineStreams({
      host: this.#host,
      stream,
      status,
      maxBody,
      unpack: { max: bounds.max ?? null, ratio: bounds.ratio },
      rate: this.#rate,
    });
  }

  #unpackBounds(maxBody: number): UnpackBounds {
    const { decompress } = this.#config;
    const { max, ratio }: { max?: number | undefined; ratio: number } =
      typeof decompress === "object" ? decompress : { ratio: UNPACK_RATIO };
    return { max: Math.min(max ?? maxBody, this.#host.maxEventBytes), ratio };
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal, body: Uint8Array): void {
    const { status, code, message, more, kept } = refusal;
    if (kept !== null) {
      this.#host.refuse({
        source: this.#host.name,
        reason: kept.reason,
        address: peerOf(request),
        detail: kept.detail,
        // A copy: the body may be a view on the parser's memory.
        body: body.byteLength === 0 ? null : Uint8Array.from(body.subarray(0, REFUSED_BYTES)),
      });
    }
    answerError(request, response, status, code, message, more);
  }
}

/** What follows the source's own path; null where nothing does, undefined where it is no text. */
function subjectOf(rest: string): string | null | undefined {
  if (rest.length <= 1) return null;
  return decodePath(rest.slice(1)) ?? undefined;
}

function yes({ seq, id, duplicate, differs }: Appended): string {
  const more = duplicate ? `,"duplicate":true${differs ? ',"differs":true' : ""}` : "";
  return `{"seq":${seq},"id":${JSON.stringify(id)}${more}}`;
}

/** The peer's address; an IPv4 one as such, also on a socket that takes both. */
function peerOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? "").replace(/^::ffff:/, "");
}
