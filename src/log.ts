/**
 * The log: pino, a fixed message and fields, on stderr (stdout belongs to the stdout sink). JSON lines, or pino-pretty
 * on a terminal. Written at once, so that a crash loses none.
 *
 * Secrets can't reach it (`log-fields.ts`), and payloads only at `trace`. All that is looked at after the threshold: what
 * isn't written costs nothing.
 */
import { type DestinationStream, destination, type LogFn, pino } from "pino";
import pretty from "pino-pretty";
import { shownFields } from "./log-fields.ts";
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
      // Instead of pino's own, which would look for more in what is described already.
      serializers: { err: (described: unknown) => described },
      hooks: {
        logMethod(args: Parameters<LogFn>, method: LogFn, level: number) {
          if (level < threshold) return;
          const [fields, message] = args as unknown as [object, string];
          method.call(this, shownFields(fields, level <= LEVEL.trace), message);
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
