/** What is wrong with a configuration, and where: the one form in which every stage reports it. */
import { closest, distance } from "fastest-levenshtein";
import type { Path } from "./walk.ts";

export interface Problem {
  /** The file as it was named or found; or the variable or argument the value came from. */
  readonly file: string;
  /** From 1; 0 where there is no line, as for a variable. */
  readonly line: number;
  readonly column: number;
  /** A warning doesn't keep the daemon from starting. */
  readonly severity: "error" | "warning";
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string | null;
}

export type Place = Pick<Problem, "file" | "line" | "column">;

/** `file:line:column: what is wrong; what to do`, on one line. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  const severity = problem.severity === "warning" ? "warning: " : "";
  return `${place}: ${severity}${problem.message}${problem.remedy === null ? "" : `; ${problem.remedy}`}`;
}

/** By file in the order given, then by place; what came from elsewhere (the environment) last. */
export function sortProblems(problems: readonly Problem[], files: readonly string[]): Problem[] {
  const rank = (problem: Problem) => {
    const found = files.indexOf(problem.file);
    return found < 0 ? files.length : found;
  };
  const seen = new Set<string>();
  return problems
    .filter((problem) => {
      const line = formatProblem(problem);
      return !seen.has(line) && seen.add(line);
    })
    .toSorted(
      (a, b) =>
        rank(a) - rank(b) ||
        a.line - b.line ||
        a.column - b.column ||
        (a.message < b.message ? -1 : Number(a.message > b.message)),
    );
}

/** `did you mean "verify"?` where a word in `all` is near; else those of `known`, where there aren't too many. */
export function suggest(word: string, known: readonly string[], all = known): string | null {
  if (all.length === 0) return null;
  const near = closest(word, all);
  const far = Math.max(1, Math.floor(Math.max(word.length, near.length) / 3));
  const begins = near.length > 2 && (word.startsWith(near) || near.startsWith(word));
  if (begins || distance(word, near) <= far || letters(word) === letters(near))
    return `did you mean "${near}"?`;
  const words = [...new Set(known)];
  return words.length > 0 && words.length <= 24 ? `known here: ${words.join(", ")}` : null;
}

/** Two letters changed places are the commonest slip, and two steps apart to Levenshtein. */
function letters(word: string): string {
  return [...word].sort().join("");
}

/** `sources.stripe.verify`, `routes.payments.to[1]`; "the file" for the whole. */
export function dotted(path: Path): string {
  if (path.length === 0) return "the file";
  return path
    .map((key, at) => (typeof key === "number" ? `[${key}]` : `${at > 0 ? "." : ""}${key}`))
    .join("");
}

/** Collects problems; takes care that no secret is among what they say. */
export class Problems {
  readonly #list: Problem[] = [];
  readonly #hidden = new Set<string>();
  readonly #secrets = new Set<string>();

  add(place: Place, severity: Problem["severity"], message: string, remedy: string | null = null): void {
    this.#list.push({ ...place, severity, message, remedy });
  }

  error(place: Place, message: string, remedy: string | null = null): void {
    this.add(place, "error", message, remedy);
  }

  warn(place: Place, message: string, remedy: string | null = null): void {
    this.add(place, "warning", message, remedy);
  }

  /** A value that mustn't be shown, wherever a message of a library's might have taken it up. */
  hide(value: string): void {
    if (value.length >= 6) this.#hidden.add(value);
  }

  /** A secret, which mustn't be shown here nor by what the configuration is for. */
  hideSecret(value: string): void {
    this.hide(value);
    this.#secrets.add(value);
  }

  get secrets(): readonly string[] {
    return [...this.#secrets];
  }

  get failed(): boolean {
    return this.#list.some((problem) => problem.severity === "error");
  }

  sorted(files: readonly string[]): Problem[] {
    const shown = this.#list.map((problem) => ({
      ...problem,
      message: this.#redact(problem.message),
      remedy: problem.remedy === null ? null : this.#redact(problem.remedy),
    }));
    return sortProblems(shown, files);
  }

  #redact(line: string): string {
    let shown = line;
    for (const hidden of this.#hidden) shown = shown.replaceAll(hidden, "***");
    return shown;
  }
}
