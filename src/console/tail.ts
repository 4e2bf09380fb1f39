/**
 * The live tail: all events as they are committed, over Leat's own SSE, for the page. It resumes from the log itself,
 * so a page that was away while the daemon was restarted goes on where it was.
 */
import type { IndexedFrame, StreamFrame, StreamHistory } from "../component.ts";
import type { Event } from "../event.ts";
import type { Log } from "../journal/journal.ts";
import type { Clock, Logger } from "../ports.ts";
import { SseEndpoint } from "../sinks/sse/endpoint.ts";
import { Access } from "../sinks/stream/access/access.ts";

const CHANNEL = "all";

/** Of a body so much goes to the page at once; the rest is asked for when a person opens the event. */
const PREVIEW_BYTES = 2048;

/** So many of the latest events a page begins with. */
const RECENT = 100;

/** One read of the log; small, for a page shows 500. */
const PAGE_EVENTS = 200;

/** Nobody reads a page on more screens. */
const MAX_READERS = 100;

export interface TailOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface Tail {
  readonly endpoint: SseEndpoint;
  /** Says `bye` to the pages and resolves when none is left. Before the journal is closed: readers read from it. */
  stop(): Promise<void>;
}

export function createTail({ log, clock, logger }: TailOptions): Tail {
  const recent = () => Math.max(0, log.bounds().newest - RECENT);
  const endpoint = new SseEndpoint({
    path: "/tail",
    access: new Access(
      // The admin listener has looked at who asks.
      { auth: { type: "none" }, channels: [CHANNEL], limits: { connections: MAX_READERS } },
      { name: "tail", hosts: null, clock, log: logger },
    ),
    format: { event: false, envelope: false },
    heartbeatMs: 15_000,
    begin: async () => recent(),
    // Not the whole journal.
    afresh: recent,
    maxBuffer: 1024 * 1024,
    maxDelayMs: 30_000,
    drainMs: 0,
    history: historyOf(log),
    committed: () => log.bounds().newest,
    clock,
    log: logger,
  });
  // Nothing comes between: what is committed from now on follows what the log has.
  const unlisten = log.onCommit((commit) => {
    if (endpoint.metrics().readers === 0) endpoint.advance(commit.last);
    else for (const event of commit.events) endpoint.publish(event.seq, [frameOf(event)]);
  });
  endpoint.advance(log.bounds().newest);
  return {
    endpoint,
    stop() {
      unlisten();
      return endpoint.stop();
    },
  };
}

function historyOf(log: Log): StreamHistory {
  return {
    async read(after, _wants, limit) {
      const events = await log.read(after, Math.min(limit, PAGE_EVENTS));
      const frames = events.map((event): IndexedFrame => ({ ...frameOf(event), seq: event.seq }));
      return { frames, through: events.at(-1)?.seq ?? after };
    },
    async bounds() {
      const { oldest, newest } = log.bounds();
      return { oldest: oldest - 1, newest };
    },
    seqAt: async () => log.bounds().newest,
  };
}

/** What the page shows of an event before it is opened. */
function frameOf({ seq, id, source, type, subject, key, time, body }: Event): StreamFrame {
  const shown = {
    seq,
    id,
    source,
    type,
    subject,
    key,
    time,
    bytes: body.byteLength,
    preview: previewOf(body),
  };
  return { channel: CHANNEL, type, id, time, body: Buffer.from(JSON.stringify(shown)) };
}

/** The first bytes as text; null for what is none. */
function previewOf(body: Uint8Array): string | null {
  try {
    // `stream`: a character cut in half at the end is left out, not an error.
    return new TextDecoder("utf-8", { fatal: true }).decode(body.subarray(0, PREVIEW_BYTES), {
      stream: true,
    });
  } catch {
    return null;
  }
}
