/**
 * Where the log's lines go: stderr, which never holds the daemon up. A line is written at once where it can be, so that
 * a crash loses none. What a reader of a pipe or a terminal doesn't take waits, so much of it; beyond that lines are lost
 * and counted.
 */
import type { Writable } from "node:stream";
import { type DestinationStream, destination } from "pino";

/** Of lines that can't be written now, so many characters are kept until they can; the rest is lost. */
export const WAITING = 1024 * 1024;

export interface LogOutput extends DestinationStream {
  /** Lines flow again after `lost` of them didn't. */
  onFlowing(tell: (lost: number) => void): void;
  /** Resolves once no line waits, or after `ms` milliseconds. */
  flushed(ms: number): Promise<void>;
}

/** `shape` makes of a line of JSON what is written. */
export function stderrOutput(shape: (line: string) => string): LogOutput {
  // What isn't a file is a stream that doesn't block; a terminal is made one by `unblockTerminals`.
  const { stderr } = process;
  return "_type" in stderr && stderr._type !== "fs" ? streamOutput(stderr, shape) : fileOutput(shape);
}

export function streamOutput(out: Writable, shape: (line: string) => string): LogOutput {
  let lost = 0;
  // A reader that has gone costs the log, never the daemon.
  out.on("error", () => {});
  return {
    write(line) {
      if (out.writableLength + line.length > WAITING) lost++;
      else out.write(shape(line));
    },
    onFlowing(tell) {
      out.on("drain", () => {
        const told = lost;
        lost = 0;
        if (told > 0) tell(told);
      });
    },
    flushed(ms) {
      if (out.writableLength === 0 || out.errored) return Promise.resolve();
      return new Promise((resolve) => {
        const late = setTimeout(resolve, ms);
        // The callback of an empty write comes after all that waits.
        out.write("", () => {
          clearTimeout(late);
          resolve();
        });
      });
    },
  };
}

/** A file has no reader that could stall. A disk that was full takes lines again when it has room. */
function fileOutput(shape: (line: string) => string): LogOutput {
  const stderr = 2;
  const lines = destination({ dest: stderr, sync: true, maxLength: WAITING });
  lines.on("error", () => {});
  return {
    write: (line) => void lines.write(shape(line)),
    onFlowing() {},
    flushed: () => Promise.resolve(),
  };
}
