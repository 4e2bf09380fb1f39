/**
 * Reading a stream as Server-Sent Events: by the browser's own EventSource, or by fetch where a header has to be sent,
 * where there is no EventSource (Node), and with tickets: an EventSource doesn't say with what status it was refused, and
 * to ask would take another ticket.
 */
import { type Ending, Silence } from "./reconnect.ts";
import { type Block, SseParser } from "./sse-parser.ts";
import type { Intake } from "./subscription.ts";
import { parsed, type StatusNews, StreamError, type StreamEvent } from "./words.ts";

export interface SseOptions {
  readonly url: string;
  /** For `Authorization: Bearer`; asked anew for each connection. */
  readonly token?: (() => string | Promise<string>) | undefined;
  /** A one-use ticket for the URL; asked anew for each connection. */
  readonly ticket?: (() => string | Promise<string>) | undefined;
  /** Send cookies to another origin. */
  readonly credentials?: boolean | undefined;
  /** The sink has `envelope: true`. */
  readonly envelope?: boolean | undefined;
  /** Types that the sink names by `event: true`: an EventSource gives only what it was asked for. */
  readonly events?: readonly string[] | undefined;
  /** ms; default 60000. */
  readonly silence?: number | undefined;
}

type Tell = (news: StatusNews) => void;

/** What the server says beside events. */
const OWN = ["gap", "bye", "dropped", "revoked", "heartbeat"];

/** With these a proxy or an overloaded server answers in passing; any other 4xx stays as it is. */
const PASSING = [408, 425, 429];

export async function dialSse(
  options: SseOptions,
  intake: Intake,
  tell: Tell,
  signal: AbortSignal,
): Promise<Ending> {
  await intake.inbox.room();
  const url = new URL(options.url);
  const native = !options.token && !options.ticket && typeof EventSource !== "undefined";
  for (const channel of intake.channels) url.searchParams.append("channel", channel);
  if (options.ticket) url.searchParams.set("ticket", await options.ticket());
  const since = intake.place("").resume();
  if (native) url.searchParams.set("heartbeat", "event");
  // In the query, not the header: across origins a header would cost a preflight.
  if (since !== undefined) url.searchParams.set("last_event_id", String(since));
  const frames = new Frames(options, intake);
  return await (native ? openEventSource : fetchStream)(url, options, frames, tell, signal);
}

/** What the blocks of one connection say. */
class Frames {
  bye: Ending | undefined;
  readonly intake: Intake;
  readonly #envelope: boolean | undefined;

  constructor({ envelope }: SseOptions, intake: Intake) {
    this.#envelope = envelope;
    this.intake = intake;
  }

  /** `lastId`: EventSource's; it may be an older one than the event's own. */
  take({ event, data, id }: Block, lastId = id): void {
    const { intake } = this;
    const seq = Number(lastId) || 0;
    if (event === "gap") intake.gap("", parsed(data) as never, seq || undefined);
    else if (event === "dropped" || event === "revoked") {
      intake.tell(() => intake.emit(event, parsed(data) as never));
    } else if (event === "bye") {
      const { reason, retry_ms: retryMs } = parsed(data) as { reason: string; retry_ms?: number };
      this.bye = { reason, retryMs };
    } else if (data !== undefined && event !== "heartbeat") {
      this.#event(event, data, seq, id !== undefined);
      return;
    }
    intake.settle("", seq);
  }

  #event(type: string, data: string, through: number, own: boolean): void {
    const { channels } = this.intake;
    if (this.#envelope) {
      const { data_base64: base64, ...event } = parsed(data) as StreamEvent & { data_base64?: string };
      this.intake.receive("", event.seq ?? null, { ...event, base64 }, through);
      return;
    }
    const [channel] = channels.length === 1 && !channels[0]?.includes("*") ? channels : [];
    const seq = through || undefined;
    const event = {
      channel,
      seq,
      data: parsed(data),
      type: type === "message" ? undefined : type || undefined,
    };
    // Only an id of its own tells a repeat: an event without one belongs to the id that follows.
    this.intake.receive("", own && through ? through : null, event, through);
  }
}

async function fetchStream(
  url: URL,
  { token, credentials, silence }: SseOptions,
  frames: Frames,
  tell: Tell,
  signal: AbortSignal,
): Promise<Ending> {
  const cut = new AbortController();
  const onAbort = () => cut.abort();
  signal.addEventListener("abort", onAbort, { signal: cut.signal });
  const watch = new Silence(silence, onAbort);
  try {
    const headers: Record<string, string> = { accept: "text/event-stream" };
    if (token) headers.authorization = `Bearer ${await token()}`;
    const response = await get(url, headers, credentials, cut.signal);
    const refusal = await refusalOf(response);
    if (refusal) return refusal;
    tell({ status: "live" });
    const parser = new SseParser((block) => frames.take(block));
    const decoder = new TextDecoder();
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      // Not to read is all the back-pressure there is; the server ends it if that takes too long.
      await frames.intake.inbox.room();
      watch.heard();
      const { done, value } = await reader.read();
      if (done) break;
      parser.push(decoder.decode(value, { stream: true }));
    }
    return { reason: "network", ...frames.bye, retryMs: frames.bye?.retryMs ?? parser.retry };
  } finally {
    watch.end();
    cut.abort();
  }
}

/** What a status means; undefined: it is a stream. */
async function refusalOf(response: Response): Promise<Ending | undefined> {
  const { status, headers } = response;
  if (status === 200 && headers.get("content-type")?.startsWith("text/event-stream")) return undefined;
  if ((status > 200 && status < 300) || (status >= 400 && status < 500 && !PASSING.includes(status))) {
    const told = (await response.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
    const { code = `http_${status}`, message } = told.error ?? {};
    return { reason: code, error: new StreamError(code, message) };
  }
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return { reason: `http_${status}`, retryMs: seconds >= 0 ? seconds * 1000 : undefined };
}

/**
 * An EventSource comes back by itself, after what the server's `retry` says, and gives up for good on any status but 200;
 * also on the 502 of a proxy whose daemon restarts. So then we ask for the status, and go on where that isn't final.
 */
function openEventSource(
  url: URL,
  options: SseOptions,
  frames: Frames,
  tell: Tell,
  signal: AbortSignal,
): Promise<Ending> {
  return new Promise((resolve) => {
    const source = new EventSource(url, { withCredentials: !!options.credentials });
    const end = (ending: Ending | Promise<Ending>) => {
      watch.end();
      source.close();
      signal.removeEventListener("abort", onAbort);
      resolve(ending);
    };
    const onAbort = () => end({ reason: "closed" });
    signal.addEventListener("abort", onAbort);
    const watch = new Silence(options.silence, () => end({ reason: "silent" }));
    const take = (event: Event) => {
      watch.heard();
      const { type, data, lastEventId } = event as MessageEvent;
      frames.take({ event: type, data, id: undefined }, lastEventId);
      if (frames.intake.inbox.full) end({ reason: "full", retryMs: 0 });
    };
    for (const name of ["message", ...OWN, ...(options.events ?? [])]) source.addEventListener(name, take);
    source.onopen = () => tell({ status: "live" });
    source.onerror = () => {
      if (source.readyState === 2) end(probe(url, options, signal));
      else {
        // The browser comes back by itself, with the last id.
        frames.intake.place("").resume();
        tell({ status: "waiting", reason: frames.bye?.reason ?? "network" });
        frames.bye = undefined;
      }
    };
  });
}

/** How it ended, as far as a plain request tells. Rejects where that gets no answer. */
async function probe(url: URL, { credentials }: SseOptions, signal: AbortSignal): Promise<Ending> {
  const response = await get(url, { accept: "application/json" }, credentials, signal);
  return (response.status !== 200 && (await refusalOf(response))) || { reason: "network" };
}

function get(
  url: URL,
  headers: Record<string, string>,
  credentials: boolean | undefined,
  signal: AbortSignal,
): Promise<Response> {
  return fetch(url, {
    headers,
    cache: "no-store",
    credentials: credentials ? "include" : "same-origin",
    signal,
  });
}
