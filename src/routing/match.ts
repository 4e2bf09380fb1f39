/** `match`: declarative selection, compiled once to plain closures that allocate nothing for an event. */
import { LeatError } from "../errors.ts";
import { compilePattern } from "../pattern.ts";
import { BodyError } from "./body.ts";
import { parsePath, readPath } from "./path.ts";
import type { EventView } from "./view.ts";

export type Matcher = (view: EventView) => boolean;
/** `undefined` stands for an absent value. */
type Test = (value: unknown) => boolean;

/**
 * Compiles `match`: each key is a path into the event, each value a literal, a glob, a list of alternatives, or an
 * object of operators (`not`, `gt`, `gte`, `lt`, `lte`, `exists`, `prefix`, `suffix`), all of which must hold. An
 * absent path matches nothing but `exists: false`, and a path into a body that isn't JSON not even that.
 * @throws LeatError of kind `configuration`.
 */
export function compileMatch(match: Readonly<Record<string, unknown>>): Matcher {
  const conditions: { cost: number; matches: Matcher }[] = [];
  for (const [key, wanted] of Object.entries(match)) {
    const path = parsePath(key);
    conditions.push({ cost: cost(path), matches: at(path, compileTest(wanted, key)) });
  }
  // What needs no decoding goes first, so that most events that don't match are never parsed.
  conditions.sort((a, b) => a.cost - b.cost);
  const [only, ...others] = conditions.map((condition) => condition.matches);
  if (only === undefined) return () => true;
  if (others.length === 0) return only;
  return (view) => only(view) && others.every((matches) => matches(view));
}

function cost(path: readonly string[]): number {
  if (path.includes("body")) return 2;
  return path.includes("headers") || path.includes("headers_base64") ? 1 : 0;
}

function at(path: readonly string[], test: Test): Matcher {
  if (path.length === 1) {
    switch (path[0]) {
      case "type":
        return (view) => test(view.type);
      case "subject":
        return (view) => test(view.subject);
    }
  }
  const body = path.indexOf("body");
  // The body that the path goes into; a text there is one that isn't JSON.
  const into = body !== -1 && path.length > body + 1 ? path.slice(0, body + 1) : null;
  return (view) => {
    try {
      if (into !== null && typeof readPath(view, into) === "string") return false;
      return test(readPath(view, path));
    } catch (error) {
      if (error instanceof BodyError) return false;
      throw error;
    }
  };
}

function compileTest(wanted: unknown, key: string): Test {
  if (typeof wanted === "string") {
    const matches = compilePattern(wanted);
    return (value) => typeof value === "string" && matches(value);
  }
  if (typeof wanted === "number" || typeof wanted === "boolean" || wanted === null) {
    return (value) => value === wanted;
  }
  if (Array.isArray(wanted)) {
    if (wanted.length === 0) throw bad(key, "has no alternatives", "List at least one value.");
    const tests = wanted.map((alternative) => compileTest(alternative, key));
    return (value) => tests.some((test) => test(value));
  }
  if (typeof wanted === "object") return compileOperators(wanted as Record<string, unknown>, key);
  throw bad(key, `can't be compared with a ${typeof wanted}`, "Use a text, a number, true, false or null.");
}

const OPERATORS: Readonly<Record<string, (operand: unknown, key: string) => Test>> = {
  not(operand, key) {
    const test = compileTest(operand, key);
    return (value) => value !== undefined && !test(value);
  },
  gt: ordered((value, bound) => value > bound),
  gte: ordered((value, bound) => value >= bound),
  lt: ordered((value, bound) => value < bound),
  lte: ordered((value, bound) => value <= bound),
  exists(operand, key) {
    if (typeof operand !== "boolean") throw bad(key, "`exists` takes true or false", "Write `exists: true`.");
    return (value) => (value !== undefined) === operand;
  },
  prefix(operand, key) {
    const text = textOperand("prefix", operand, key);
    return (value) => typeof value === "string" && value.startsWith(text);
  },
  suffix(operand, key) {
    const text = textOperand("suffix", operand, key);
    return (value) => typeof value === "string" && value.endsWith(text);
  },
};

function compileOperators(operators: Record<string, unknown>, key: string): Test {
  const tests = Object.entries(operators).map(([name, operand]) => {
    const compile = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
    if (compile === undefined) {
      throw bad(
        key,
        `has no operator \`${name}\``,
        `The operators are ${Object.keys(OPERATORS).join(", ")}.`,
      );
    }
    return compile(operand, key);
  });
  if (tests.length === 0) throw bad(key, "has no operators", `Use ${Object.keys(OPERATORS).join(", ")}.`);
  return (value) => tests.every((test) => test(value));
}

/** Compares numbers with numbers and texts with texts (by code unit, as RFC 3339 times and versions sort). */
function ordered(holds: (value: number | string, bound: number | string) => boolean) {
  return (operand: unknown, key: string): Test => {
    if (typeof operand !== "number" && typeof operand !== "string") {
      throw bad(key, "can only be compared with a number or a text", "Write for example `gt: 80`.");
    }
    return (value) =>
      (typeof value === "number" || typeof value === "string") &&
      typeof value === typeof operand &&
      holds(value, operand);
  };
}

function textOperand(name: string, operand: unknown, key: string): string {
  if (typeof operand === "string") return operand;
  throw bad(key, `\`${name}\` takes a text`, `Put the ${name} in quotes.`);
}

function bad(key: string, what: string, hint: string): LeatError {
  return new LeatError("configuration", "match_invalid", `\`match\` on \`${key}\` ${what}`, { hint });
}
