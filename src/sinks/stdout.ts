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

function json(text: string): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

/** One line in the manner of CloudEvents' JSON format 1.0.2, with Leat's own attributes. */
export function cloudEventLine(message: Message): string {
  const { event } = message;
  const text = utf8(message.body);
  const parsed = text !== null && message.contentType?.includes("json") !== false ? json(text) : null;
  const data =
    text === null
      ? {
          data_base64: Buffer.from(
            message.body.buffer,
            message.body.byteOffset,
            message.body.byteLength,
          ).toString("base64"),
        }
      : { data: parsed === null ? text : parsed.value };
  return JSON.stringify({
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
    ...data,
  });
}

/**
 * A broken pipe must end the output, not the daemon: each delivery reports it by its own callback. Stays on the stream,
 * since a late error would otherwise be thrown.
 */
const reportedByDelivery = (): void => {};

/** Writes lines to a stream. A line counts as delivered once the stream has taken it from us. */
export class LineSink implements PushedSink {
  readonly #out: Writable;
  readonly #format: StdoutConfig["format"];

  constructor(out: Writable, format: StdoutConfig["format"]) {
    this.#out = out;
    this.#format = format;
  }

  async start(): Promise<void> {
    if (!this.#out.listeners("error").includes(reportedByDelivery)) this.#out.on("error", reportedByDelivery);
  }

  deliver(message: Message, signal: AbortSignal): Promise<Report> {
    const line =
      this.#format === "json"
        ? Buffer.from(`${cloudEventLine(message)}\n`)
        : Buffer.concat([message.body, NEWLINE]);
    return new Promise((resolve) => {
      const abort = () =>
        resolve({ result: "failed", error: "timeout", message: "nobody read the output in time" });
      signal.addEventListener("abort", abort, { once: true });
      // The callback waits for the stream's own queue, so that a reader who is slow holds the next delivery back.
      this.#out.write(line, (error) => {
        signal.removeEventListener("abort", abort);
        if (error) resolve({ result: "failed", error: "closed", message: error.message });
        else resolve({ result: "delivered" });
      });
    });
  }

  async stop(): Promise<void> {}
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
