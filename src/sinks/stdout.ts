/** The `stdout` sink: one line on the terminal for each event, as JSON or as the bare body. */
import type { Writable } from "node:stream";
import type { z } from "zod";
import type { Message, PushedSink, PushedSinkType, Report } from "../component.ts";
import { object, oneOf } from "../config/fields.ts";

const schema = object({
  format: oneOf(["json", "body"])
    .default("json")
    .describe(
      "`json`: one line of JSON after CloudEvents (`data`, or `data_base64`); `body`: the body's bytes and a line's end.",
    ),
});

type StdoutConfig = z.output<typeof schema>;

const NEWLINE = Buffer.from("\n");

/** Text that JSON can carry unchanged; null when the bytes aren't UTF-8. */
function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** No string in JSON holds a bare line's end: those there are stand between its tokens. */
const onOneLine = (json: string): string => json.replace(/[\r\n][ \t\r\n]*/g, "");

/** A body that is JSON stands there as it was written: its numbers keep their digits, and no depth is too much. */
function dataMember({ body, contentType }: Message): string {
  const text = utf8(body);
  if (text === null) {
    const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
    return `"data_base64":"${bytes.toString("base64")}"`;
  }
  const json = contentType?.includes("json") !== false && isJson(text);
  return `"data":${json ? onOneLine(text) : JSON.stringify(text)}`;
}

/** One line in the manner of CloudEvents' JSON format 1.0.2, with Leat's own attributes. */
export function cloudEventLine(message: Message): string {
  const { event } = message;
  const head = JSON.stringify({
    specversion: "1.0",
    id: event.id,
    source: event.source,
    type: event.type,
    ...(event.subject === null ? {} : { subject: event.subject }),
    time: new Date(event.time).toISOString(),
    ...(message.contentType === null ? {} : { datacontenttype: message.contentType }),
    seq: event.seq,
    ...(event.key === null ? {} : { key: event.key }),
    route: message.route,
    ...(message.attempt > 1 ? { attempt: message.attempt } : {}),
    ...(message.replay > 0 ? { replay: message.replay } : {}),
  });
  return `${head.slice(0, -1)},${dataMember(message)}}`;
}

/**
 * A broken pipe must end the output, not the daemon: each delivery reports it by its own callback. Stays on the stream,
 * since a late error would otherwise be thrown.
 */
const reportedByDelivery = (): void => {};

const UNREAD: Report = { result: "failed", error: "timeout", message: "nobody read the output in time" };

/** After these a write is worth its while, if only to learn what is wrong. */
const ROOM = ["drain", "error", "close"] as const;

/** Writes lines to a stream. A line counts as delivered once the stream has taken it from us. */
export class LineSink implements PushedSink {
  readonly #out: Writable;
  readonly #format: StdoutConfig["format"];
  /** Deliveries that wait for room. */
  readonly #waiting = new Set<() => void>();
  readonly #roomComes = (): void => {
    for (const go of this.#waiting) go();
  };

  constructor(out: Writable, format: StdoutConfig["format"]) {
    this.#out = out;
    this.#format = format;
  }

  async start(): Promise<void> {
    if (!this.#out.listeners("error").includes(reportedByDelivery)) this.#out.on("error", reportedByDelivery);
    for (const event of ROOM) this.#out.on(event, this.#roomComes);
  }

  async deliver(message: Message, signal: AbortSignal): Promise<Report> {
    let line: Buffer;
    try {
      line = this.#line(message);
    } catch (error) {
      // No other time would be better for it, and the events behind it must not wait.
      return { result: "rejected", error: "unwritable", message: `it makes no line: ${error}` };
    }
    const room = this.#room(signal);
    if (room !== undefined) await room;
    if (signal.aborted) return UNREAD;
    return this.#write(line, signal);
  }

  #line(message: Message): Buffer {
    return this.#format === "json"
      ? Buffer.from(`${cloudEventLine(message)}\n`)
      : Buffer.concat([message.body, NEWLINE]);
  }

  /** While nobody reads, nothing is added to what waits: each attempt would leave its line there. */
  #room(signal: AbortSignal): Promise<void> | undefined {
    if (signal.aborted || this.#out.errored || !this.#out.writableNeedDrain) return undefined;
    return new Promise((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        signal.removeEventListener("abort", go);
        resolve();
      };
      this.#waiting.add(go);
      signal.addEventListener("abort", go, { once: true });
    });
  }

  #write(line: Buffer, signal: AbortSignal): Promise<Report> {
    return new Promise((resolve) => {
      const abort = () => resolve(UNREAD);
      signal.addEventListener("abort", abort, { once: true });
      // The callback waits for the stream's own queue, so that a reader who is slow holds the next delivery back.
      this.#out.write(line, (error) => {
        signal.removeEventListener("abort", abort);
        if (error) resolve({ result: "failed", error: "closed", message: error.message });
        else resolve({ result: "delivered" });
      });
    });
  }

  async stop(): Promise<void> {
    for (const event of ROOM) this.#out.off(event, this.#roomComes);
  }
}

export const stdoutSink: PushedSinkType<StdoutConfig> = {
  kind: "pushed",
  type: "stdout",
  description: "Writes each event as a line to the standard output.",
  schema,
  templates: [],
  givesBack: () => false,
  create: (config) => new LineSink(process.stdout, config.format),
};
