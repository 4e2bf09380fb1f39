/** How a command ends when it failed: the error as people (or, with --json, programs) read it, and its exit code. */
import { EXIT_CODE, LeatError } from "../errors.ts";

/**
 * Output that nobody reads any more (`leat schema | head -1`) is a quiet end; output that can't be written for another
 * reason is said, and the command has failed. A daemon goes on either way: its `stdout` sink reports its own deliveries.
 */
export function watchOutput(): void {
  let said = false;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || said) return;
    said = true;
    fail(
      new LeatError("internal", "output", `the output can't be written (${error.code})`, { cause: error }),
    );
  });
  // What can't be said can't be said.
  process.stderr.on("error", () => {});
}

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
