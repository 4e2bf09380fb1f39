/** What the reading of every section shares: fill in, parse, check the expressions, report. */
import type { z } from "zod";
import { LeatError } from "../errors.ts";
import { explain } from "./explain.ts";
import { type FieldFlags, NAME } from "./fields.ts";
import type { Merged } from "./files.ts";
import { type Filled, type FillSources, fillIn } from "./fill.ts";
import { dotted, type Problems } from "./problem.ts";
import { alternatives, type Field, fieldOf, type Path, visit } from "./walk.ts";

/**
 * Parses an expression, a template or a match and throws a LeatError (`configuration`) where it can't; an `offset` on
 * the error is the place of the mistake in the text. Injected, since configuration lies below routing.
 */
export interface ExpressionChecker {
  expression(source: string): unknown;
  template(source: string): unknown;
  match(match: Record<string, unknown>): unknown;
}

export interface Read<T> {
  /** Null where it is wrong; why is among the problems. */
  readonly data: T | null;
  readonly filled: Filled;
}

export class Reader {
  readonly merged: Merged;
  readonly problems: Problems;
  readonly from: FillSources;
  readonly #expressions: ExpressionChecker;

  constructor(merged: Merged, problems: Problems, from: FillSources, expressions: ExpressionChecker) {
    this.merged = merged;
    this.problems = problems;
    this.from = from;
    this.#expressions = expressions;
  }

  fill(schema: z.ZodType, value: unknown, base: Path): Filled {
    return fillIn(value, [fieldOf(schema)], base, this.from, this.merged, this.problems);
  }

  parse<T>(schema: z.ZodType<T>, value: unknown, base: Path): Read<T> {
    return this.parseFilled(schema, this.fill(schema, value, base), base);
  }

  parseFilled<T>(schema: z.ZodType<T>, filled: Filled, base: Path): Read<T> {
    this.#visitTexts(schema, filled, base);
    const result = schema.safeParse(filled.value);
    if (result.success) return { data: result.data, filled };
    explain(result.error.issues, { schema, value: filled.value, base, filled }, this.merged, this.problems);
    return { data: null, filled };
  }

  error(path: Path, message: string, remedy: string | null = null, at: "key" | "value" = "value"): void {
    if (this.merged.isBroken(path)) return;
    this.problems.error(this.merged.place(path, at), `${dotted(path)}: ${message}`, remedy);
  }

  warn(path: Path, message: string, remedy: string | null = null, at: "key" | "value" = "value"): void {
    this.problems.warn(this.merged.place(path, at), `${dotted(path)}: ${message}`, remedy);
  }

  /** True for a name that people may give; else says why not. */
  checkName(path: Path): boolean {
    if (NAME.test(String(path.at(-1)))) return true;
    this.error(
      path,
      "is not a name",
      "use lower-case letters, digits, _ and -, first a letter or a digit",
      "key",
    );
    return false;
  }

  checkTemplate(path: Path, text: string): void {
    this.#compile(path, () => this.#expressions.template(text), { offsets: false });
  }

  checkMatch(path: Path, match: Record<string, unknown>): void {
    this.#compile(path, () => this.#expressions.match(match));
  }

  /** Hides what is a secret, and parses what is an expression or a template. */
  #visitTexts(schema: z.ZodType, filled: Filled, base: Path): void {
    visit([fieldOf(schema)], filled.value, base, (fields, value, path) => {
      if (typeof value !== "string" || filled.unknown.has(dotted(path))) return;
      const marks = marksOf(fields);
      if (marks.secret) this.problems.hideSecret(value);
      for (const credential of credentialsIn(value)) this.problems.hideSecret(credential);
      if (value === "") return;
      if (marks.expression) this.#compile(path, () => this.#expressions.expression(value));
      if (marks.template) this.checkTemplate(path, value);
    });
  }

  /** `offsets`: whether an error's offset counts from the start of the value; in a template it does from its `{{`. */
  #compile(path: Path, compile: () => unknown, { offsets = true } = {}): void {
    if (this.merged.isBroken(path)) return;
    try {
      compile();
    } catch (error) {
      if (!(error instanceof LeatError)) throw error;
      const offset = offsets && "offset" in error && typeof error.offset === "number" ? error.offset : null;
      const place = offset === null ? this.merged.place(path) : this.merged.placeWithin(path, offset);
      this.problems.error(
        place,
        `${dotted(path)}: ${error.message}`,
        error.hint ? asClause(error.hint) : null,
      );
    }
  }
}

const WITH_CREDENTIALS = /^[a-z][a-z0-9+.-]*:\/\/([^/?#\s]+)@/i;

/** What stands before the @ of a URL, where there is a password in it, and that: as written, and as a client reads it. */
function credentialsIn(value: string): string[] {
  const userinfo = WITH_CREDENTIALS.exec(value)?.[1] ?? "";
  const colon = userinfo.indexOf(":");
  if (colon < 0) return [];
  const password = userinfo.slice(colon + 1);
  return [userinfo, password, decoded(password)].filter((text) => text !== "");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A hint is a sentence of its own elsewhere; here it goes on after a semicolon. */
function asClause(sentence: string): string {
  return `${sentence.charAt(0).toLowerCase()}${sentence.slice(1).replace(/\.$/, "")}`;
}

function marksOf(fields: readonly Field[]): FieldFlags {
  return Object.assign({}, ...fields.flatMap(alternatives).map((field) => field.flags));
}
