/** How a command ends when it failed: the error as people (or, with --json, programs) read it, and its exit code. */
import { EXIT_CODE, LeatError } from "../errors.ts";

/** Prints the error to stderr and sets the process's exit code. */
export function fail(error: unknown, json = false): void {
  const { code, message, hint, exit } = described(error);
  if (json) process.stderr.write(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  else process.stderr.write(`leat: ${message}${hint === undefined ? "" : `\n  ${hint}`}\n`);
  process.exitCode = exit;
}

function described(error: unknown): {
  code: string;
  message: string;
  hint: string | undefined;
  exit: number;
} {
  if (error instanceof LeatError) {
    const { code, message, hint, kind } = error;
    return { code, message, hint, exit: EXIT_CODE[kind] };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "internal", message, hint: undefined, exit: EXIT_CODE.internal };
}
