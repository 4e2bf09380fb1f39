/**
 * The log: pino, a fixed message and fields, on stderr (stdout belongs to the stdout sink). JSON lines, or pino-pretty
 * on a terminal. Written at once, so that a crash loses none.
 *
 * Secrets can't reach it: an error is its code, message, hint and stack, never its other fields (a client library keeps
 * whole requests there); addresses in any text lose their credentials and query; headers, tokens and the like are
 * dropped by name; payloads pass at `trace` only.
 */
import { type DestinationStream, destination, type LogFn, pino } from "pino";
import pretty from "pino-pretty";
import { LeatError } from "./errors.ts";
import type { Settings } from "./plan.ts";
import type { Logger } from "./ports.ts";

export type LogLevel = Settings["log"]["level"];

export interface Log extends Logger {
  /** For this logger and all its children, present ones too. */
  setLevel(level: LogLevel): void;
}

export interface LogOptions extends Omit<Settings["log"], "level"> {
  readonly level: LogLevel;
  /** Instead of stderr, for tests. */
  readonly stream?: DestinationStream;
}

export function createLog(options: LogOptions): Log {
  // The threshold is kept here and not in pino, whose children each have a level of their own: a reload changes all.
  let threshold = LEVEL[options.level];
  const instance = pino(
    {
      level: "trace",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
      hooks: {
        logMethod(args: Parameters<LogFn>, method: LogFn, level: number) {
          if (level < threshold) return;
          const [fields, message] = args as unknown as [object, string];
          method.call(this, withoutSecrets(fields, level), message);
        },
      },
    },
    options.stream ?? output(options.format),
  );
  return Object.assign(instance, {
    setLevel(level: LogLevel): void {
      threshold = LEVEL[level];
    },
  });
}

/** Of lines that can't be written now, so many are kept until they can; the rest is lost. */
const WAITING_BYTES = 1024 * 1024;

function output(format: LogOptions["format"]): DestinationStream {
  const stderr = 2;
  const forPeople = format === "pretty" || (format === "auto" && process.stderr.isTTY === true);
  if (!forPeople) {
    const lines = destination({ dest: stderr, sync: true, maxLength: WAITING_BYTES });
    // A full disk or a reader that has gone costs the log, never the daemon.
    lines.on("error", () => {});
    return lines;
  }
  return pretty({ destination: stderr, sync: true, translateTime: "SYS:HH:MM:ss.l", colorize: true });
}

const LEVEL: Record<LogLevel, number> = { error: 50, warn: 40, info: 30, debug: 20, trace: 10 };

const PAYLOAD = new Set(["body", "payload", "data", "answer"]);
const SECRET = /^(?:headers?|authorization|cookies?|.*token|.*secrets?|.*password|signature|env)$/i;

function withoutSecrets(fields: object, level: number): object {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (SECRET.test(name) || (PAYLOAD.has(name) && level > LEVEL.trace)) continue;
    if (value instanceof URL) kept[name] = withoutCredentials(value.href);
    else kept[name] = typeof value === "string" ? withoutCredentials(value) : value;
  }
  return kept;
}

/** Takes user, password, query and fragment from every address in a text. */
export function withoutCredentials(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(
    /([a-z][a-z0-9+.-]*:\/\/)(?:[^\s/?#@"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?/gi,
    (_whole, scheme: string, place: string) => scheme + place,
  );
}

interface LoggedError {
  readonly type: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
  readonly cause: LoggedError | undefined;
}

/** The stack is for defects: an error of ours that isn't one says all in its code, message and hint. */
function describeError(error: unknown, depth = 0): LoggedError | unknown {
  if (!(error instanceof Error)) return typeof error === "string" ? withoutCredentials(error) : typeof error;
  const expected = error instanceof LeatError && error.kind !== "internal";
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return {
    type: error.name,
    code,
    message: withoutCredentials(error.message),
    hint: error instanceof LeatError ? error.hint : undefined,
    stack: expected || error.stack === undefined ? undefined : withoutCredentials(error.stack),
    cause: error.cause === undefined || depth > 3 ? undefined : describeError(error.cause, depth + 1),
  };
}
