/** Zod's issues as problems for people: what is wrong, where in the file, what to do. */
import type { z } from "zod";
import { withoutCredentials } from "../secrets.ts";
import type { Merged } from "./files.ts";
import type { Filled } from "./fill.ts";
import { dotted, type Problems, suggest } from "./problem.ts";
import {
  alternatives,
  childOf,
  choicesOf,
  expects,
  type Field,
  fieldsAt,
  isMap,
  meant,
  orList,
  type Path,
  shapeOf,
  valueAt,
  wordsOf,
} from "./walk.ts";

type Issue = z.core.$ZodIssue;

/** What was parsed: a value that stands at `base`, with what was filled in. */
export interface Subject {
  readonly schema: z.core.$ZodType;
  readonly value: unknown;
  readonly base: Path;
  readonly filled: Pick<Filled, "origins" | "unknown">;
}

export function explain(
  issues: readonly Issue[],
  subject: Subject,
  merged: Merged,
  problems: Problems,
): void {
  for (const issue of issues) new Explanation(issue, subject, merged, problems).add();
}

class Explanation {
  readonly #issue: Issue;
  readonly #subject: Subject;
  readonly #merged: Merged;
  readonly #problems: Problems;
  /** Within the subject's value. */
  readonly #inner: Path;
  readonly #path: Path;
  readonly #value: unknown;
  readonly #fields: readonly Field[];

  constructor(issue: Issue, subject: Subject, merged: Merged, problems: Problems) {
    this.#issue = issue;
    this.#subject = subject;
    this.#merged = merged;
    this.#problems = problems;
    this.#inner = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
    this.#path = [...subject.base, ...this.#inner];
    this.#value = valueAt(subject.value, this.#inner);
    this.#fields = fieldsAt(subject.schema, subject.value, this.#inner);
  }

  add(): void {
    if (this.#isConsequence()) return;
    const issue = this.#issue;
    if (issue.code === "unrecognized_keys") this.#unknownKeys(issue.keys);
    else if (this.#value === undefined && issue.code !== "custom") this.#missing();
    else if (issue.code === "custom") this.#custom(issue.message, issue.params);
    else if (issue.code === "invalid_union" && issue.errors.length === 0) this.#unknownWord();
    else if (issue.code === "invalid_union") this.#union(issue.errors);
    else if (issue.code === "too_small" && (this.#value === "" || isEmptyList(this.#value))) {
      this.#error(`${dotted(this.#path)}: is empty`, this.#example());
    } else this.#notWhatIsExpected();
  }

  /** Of something that has been reported: a broken value, or one that isn't known. */
  #isConsequence(): boolean {
    if (this.#merged.isBroken(this.#path)) return true;
    const { unknown } = this.#subject.filled;
    const here = dotted(this.#path);
    // A check of a component's own may look at any part of what it stands on.
    if (this.#issue.code === "custom" && [...unknown].some((path) => path.startsWith(here))) return true;
    return this.#path.some((_, at) => unknown.has(dotted(this.#path.slice(0, at + 1))));
  }

  #error(message: string, remedy: string | null, at: "key" | "value" = "value"): void {
    this.#problems.error(this.#merged.place(this.#path, at), message, remedy);
  }

  #unknownKeys(keys: readonly string[]): void {
    const known = this.#fields
      .flatMap((field) => meant(field, this.#value))
      .flatMap((field) => shapeOf(field.schema).map(([key]) => key));
    const unused = known.filter((key) => childOf(this.#value, key) === undefined);
    for (const key of keys) {
      if (this.#merged.isBroken([...this.#path, key])) continue;
      const place = this.#merged.place([...this.#path, key], "key");
      const where = this.#path.length === 0 ? "" : `${dotted(this.#path)}: `;
      this.#problems.error(place, `${where}unknown key "${key}"`, suggest(key, unused, known));
    }
  }

  #missing(): void {
    const key = String(this.#path.at(-1));
    const parent = this.#path.slice(0, -1);
    const [field] = this.#fields;
    const place = this.#merged.place(parent, parent.length > 1 ? "key" : "value");
    const where = parent.length === 0 ? "" : `${dotted(parent)}: `;
    const listed = field && choicesOf(field);
    const choices = listed ? [...listed.keys()] : [];
    if (choices.length > 0) {
      const open = choices.includes("none") ? "; none leaves it open, and has to be written" : "";
      const remedy = `choose ${key}: { type: ${choices.join(" | ")} }${open}`;
      this.#problems.error(place, `${where}${key} is missing`, remedy);
      return;
    }
    const words = field ? wordsOf(field) : this.#discriminators();
    const example = field?.flags.examples?.[0];
    const remedy = words?.length
      ? `write ${key}: ${orList(words)}`
      : example
        ? `write it as ${key}: ${example}`
        : field
          ? `it takes ${expects(field)}`
          : null;
    this.#problems.error(place, `${where}${key} is missing`, remedy);
  }

  /** What `type:` may be, where the issue stands at a `type` that chooses among maps. */
  #discriminators(): string[] {
    const parents = fieldsAt(this.#subject.schema, this.#subject.value, this.#inner.slice(0, -1));
    return parents.flatMap((field) =>
      alternatives(field).length > 0 ? [...(choicesOf(field)?.keys() ?? [])] : [],
    );
  }

  #unknownWord(): void {
    const words = this.#discriminators();
    const remedy = typeof this.#value === "string" && this.#shown() ? suggest(this.#value, words) : null;
    const message = `${dotted(this.#path)}: ${this.#named()} is not known`;
    this.#error(message, remedy ?? `it takes ${orList(words)}`);
  }

  #custom(message: string, params: Record<string, unknown> | undefined): void {
    const remedy = typeof params?.remedy === "string" ? params.remedy : null;
    this.#error(`${dotted(this.#path)}: ${message}`, remedy);
  }

  /** Explains the alternative that the value was meant as, where its kind tells. */
  #union(errors: readonly (readonly Issue[])[]): void {
    const nearest = errors.find((issues) =>
      issues.some(
        (issue) => issue.path.length > 0 || issue.code === "unrecognized_keys" || issue.code === "custom",
      ),
    );
    if (!nearest) {
      this.#notWhatIsExpected();
      return;
    }
    const issues = nearest.map(
      (issue) => ({ ...issue, path: [...this.#issue.path, ...issue.path] }) as Issue,
    );
    explain(issues, this.#subject, this.#merged, this.#problems);
  }

  #notWhatIsExpected(): void {
    const [field] = this.#fields;
    const wanted = field ? expects(field) : "what stands here";
    const words = field ? wordsOf(field) : null;
    const near =
      words && typeof this.#value === "string" && this.#shown() ? suggest(this.#value, words) : null;
    const remedy = near?.startsWith("did you mean") ? near : this.#example();
    const what =
      this.#value === null ? `holds nothing, where it takes ${wanted}` : `${this.#named()} is not ${wanted}`;
    this.#error(`${dotted(this.#path)}: ${what}`, remedy);
  }

  #example(): string | null {
    const [field] = this.#fields;
    if (!field) return null;
    const examples = alternatives(field).find((option) => option.flags.examples)?.flags.examples;
    const plain = typeof this.#value === "number" || typeof this.#value === "boolean";
    if (plain && (field.flags.secret || expects(field).includes("text"))) return "put it in quotes";
    if (typeof this.#value === "string" && choicesOf(field)?.has(this.#value))
      return `write { type: ${this.#value} }`;
    if (examples && typeof this.#value === "number" && /^[\d.]+[a-zA-Z%]/.test(examples[0] ?? "")) {
      return `it needs a unit, such as ${orList(examples)}`;
    }
    if (examples) return `write it as ${orList(examples)}`;
    const map = shapeOf(field.schema).length > 0 && !isMap(this.#value);
    return map ? `its keys are ${orList(shapeOf(field.schema).map(([key]) => key))}` : null;
  }

  /** The value as it may be shown: never a secret, never what was filled in. */
  #named(): string {
    const origin = this.#subject.filled.origins.get(dotted(this.#path));
    if (origin !== undefined)
      return /^\$\{[^}:]*\}$/.test(origin) ? `the value of ${origin}` : "what is filled in";
    if (Array.isArray(this.#value)) return "a list";
    if (isMap(this.#value)) return "a map";
    if (!this.#shown()) return "the value";
    return typeof this.#value === "string"
      ? JSON.stringify(withoutCredentials(this.#value))
      : String(this.#value);
  }

  #shown(): boolean {
    if (this.#subject.filled.origins.has(dotted(this.#path))) return false;
    if (this.#fields.some((field) => alternatives(field).some((option) => option.flags.secret))) return false;
    return typeof this.#value !== "string" || this.#value.length <= 60;
  }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
