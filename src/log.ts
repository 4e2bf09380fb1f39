/**
 * The log: pino, a fixed message and fields, on stderr (stdout belongs to the stdout sink). JSON lines, or pino-pretty
 * on a terminal. `log-output.ts` says what becomes of a line that nobody reads.
 *
 * Secrets can't reach it (`log-fields.ts`), and payloads only at `trace`. All that is looked at after the threshold: what
 * isn't written costs nothing.
 */
import { type DestinationStream, type LogFn, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import { shownFields } from "./log-fields.ts";
import { stderrOutput } from "./log-output.ts";
import type { Settings } from "./plan.ts";
import type { Logger } from "./ports.ts";

export type LogLevel = Settings["log"]["level"];

export interface Log extends Logger {
  /** For this logger and all its children, present ones too. */
  setLevel(level: LogLevel): void;
  /** Before the process ends: resolves once all lines are written, or after `ms` milliseconds. */
  flushed(ms: number): Promise<void>;
}

export interface LogOptions extends Omit<Settings["log"], "level"> {
  readonly level: LogLevel;
  /** Instead of stderr, for tests. */
  readonly stream?: DestinationStream;
}

export function createLog(options: LogOptions): Log {
  // The threshold is kept here and not in pino, whose children each have a level of their own: a reload changes all.
  let threshold = LEVEL[options.level];
  const output = options.stream === undefined ? stderrOutput(shapeOf(options.format)) : null;
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
    output ?? options.stream,
  );
  output?.onFlowing((lines) => instance.warn({ lines }, "log lines are lost: nobody read them"));
  return Object.assign(instance, {
    setLevel(level: LogLevel): void {
      threshold = LEVEL[level];
    },
    flushed: async (ms: number) => output?.flushed(ms),
  });
}

function shapeOf(format: LogOptions["format"]): (line: string) => string {
  const forPeople = format === "pretty" || (format === "auto" && process.stderr.isTTY === true);
  return forPeople ? prettyFactory({ translateTime: "SYS:HH:MM:ss.l", colorize: true }) : (line) => line;
}

const LEVEL: Record<LogLevel, number> = { error: 50, warn: 40, info: 30, debug: 20, trace: 10 };
