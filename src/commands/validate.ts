/** `leat validate`: everything that is wrong with a configuration, at once. What passes here starts. */
import type { Command } from "commander";
import { formatProblem, type LoadResult, type Problem } from "../config/load.ts";
import { EXIT_CODE } from "../errors.ts";
import { readConfiguration } from "./configuration.ts";

interface ValidateOptions {
  readonly json?: true;
  readonly env: boolean;
}

export function validateCommand(program: Command): void {
  program
    .command("validate")
    .description("check configuration files and report every error in them")
    .argument("[paths...]", "files and folders (default: ./leat.yaml, then /etc/leat/leat.yaml)")
    .option("--json", "print the result as JSON")
    .option("--no-env", "take variables and secret files as given, for checks where there are none")
    .action((paths: string[], options: ValidateOptions) => {
      const result = readConfiguration(paths, { readEnv: options.env });
      process.stdout.write(options.json ? `${JSON.stringify(asJson(result))}\n` : asText(result));
      if (!result.ok) process.exitCode = EXIT_CODE.configuration;
    });
}

/** `{ ok, files, problems: [{ file, line, column, severity, message, remedy }] }`; programs may rely on it. */
function asJson(result: LoadResult): { ok: boolean; files: readonly string[]; problems: readonly Problem[] } {
  return { ok: result.ok, files: result.files, problems: problemsOf(result) };
}

function asText(result: LoadResult): string {
  const problems = problemsOf(result);
  const warnings = problems.filter((problem) => problem.severity === "warning").length;
  const counts = [count(problems.length - warnings, "error"), count(warnings, "warning")].filter(
    (part) => part !== "",
  );
  const summary = result.ok ? [`ok: ${contents(result)}`, ...counts].join(", ") : counts.join(", ");
  return `${[...problems.map(formatProblem), summary].join("\n")}\n`;
}

function problemsOf(result: LoadResult): readonly Problem[] {
  return result.ok ? result.warnings : result.problems;
}

function contents({ plan }: LoadResult & { ok: true }): string {
  const { sources, sinks, routes } = plan;
  const parts = [count(sources.length, "source"), count(sinks.length, "sink"), count(routes.length, "route")];
  return parts.filter((part) => part !== "").join(", ") || "nothing in it";
}

function count(number: number, noun: string): string {
  return number === 0 ? "" : `${number} ${noun}${number === 1 ? "" : "s"}`;
}
