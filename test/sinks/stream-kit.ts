/** What the tests of streams share. */
import type { Logger } from "../../src/ports.ts";

/** A logger that keeps its lines for assertions. */
export function quietLog(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const line = (fields: object, message: string) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { lines, trace: line, debug: line, info: line, warn: line, error: line, child: () => log };
  return log;
}
