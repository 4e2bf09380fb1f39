/** How a command ends when it failed: the error as people (or, with --json, programs) read it, and its exit code. */
import { EXIT_CODE, LeatError } from "../errors.ts";
import { shownText } from "../log-fields.ts";
import { withoutSecrets } from "../secrets.ts";

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

/**
 * Prints the error to stderr and sets the process's exit code. What isn't a LeatError is a defect, or an environment that
 * can't work: one line for people, and where it happened for those who ask (`LEAT_LOG_LEVEL=debug`).
 */
export function fail(error: unknown, json = false): void {
  const { code, message, hint, stack, exit } = described(error);
  if (json) process.stderr.write(`${JSON.stringify({ error: { code, message, hint, stack } })}\n`);
  else process.stderr.write(`${[`leat: ${message}`, hint, stack].filter(Boolean).join("\n  ")}\n`);
  process.exitCode = exit;
}

interface Described {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly stack: string | undefined;
  readonly exit: number;
}

function described(error: unknown): Described {
  const detailed = /^(debug|trace)$/.test(process.env.LEAT_LOG_LEVEL ?? "");
  const stack = detailed && error instanceof Error && error.stack !== undefined ? error.stack : undefined;
  const shown = { stack: stack === undefined ? undefined : shownText(stack) };
  if (error instanceof LeatError) {
    const { code, message, hint, kind } = error;
    return {
      ...shown,
      code,
      message: withoutSecrets(message),
      hint: hint === undefined ? undefined : withoutSecrets(hint),
      exit: EXIT_CODE[kind],
    };
  }
  return {
    ...shown,
    code: "internal",
    message: `unexpected: ${shownText(firstLine(error))}`,
    hint: detailed ? undefined : "LEAT_LOG_LEVEL=debug shows where it happened; please report it.",
    exit: EXIT_CODE.internal,
  };
}

/** `TypeError: x is not a function`; a system's error says itself what it is. */
function firstLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error).split("\n")[0] ?? "";
  const text = "syscall" in error ? error.message : `${error.name}: ${error.message}`;
  return text.split("\n")[0] ?? "";
}
