/**
 * Expressions that need no JSONata: paths, literals, comparisons of those, `and`, `or`, `$exists`, `$not`. They are
 * most of what routes have, and as closures take a hundredth of the time.
 *
 * Each gives exactly what JSONata would, or `UNSURE`, where lists are on the way or JSONata would throw: then JSONata
 * is asked. A test compares the two.
 */
import type { Node } from "./syntax.ts";

/** JSONata must be asked. */
export const UNSURE: unique symbol = Symbol("unsure");

/** Evaluates without JSONata; may throw what reading the scope throws (`BodyError`). */
export type Shortcut = (scope: object) => unknown;

/** The closure of an expression, or null where it is more than that. */
export function compileShortcut(node: Node): Shortcut | null {
  if (node.group !== undefined || node.predicate !== undefined) return null;
  switch (node.type) {
    case "path":
      return compilePath(node);
    case "string":
    case "number":
    case "value":
      return () => node.value;
    case "block": {
      const [only, ...others] = node.expressions ?? [];
      return only !== undefined && others.length === 0 ? compileShortcut(only) : null;
    }
    case "binary":
      return compileBinary(node);
    case "function":
      return compileCall(node);
    default:
      return null;
  }
}

/** The names of a path that is nothing but names (after `$` or `$$`, or not); null for any other. */
export function plainPath(node: Node): readonly string[] | null {
  if (node.type !== "path" || node.group !== undefined || "keepSingletonArray" in node) return null;
  const names: string[] = [];
  for (const [index, step] of (node.steps ?? []).entries()) {
    // Nothing but what a bare name has: no filter, index, focus, sorting.
    if (Object.keys(step).some((key) => key !== "type" && key !== "value" && key !== "position")) return null;
    const root = index === 0 && step.type === "variable" && (step.value === "" || step.value === "$");
    if (step.type === "name") names.push(String(step.value));
    else if (!root) return null;
  }
  return names.length === 0 ? null : names;
}

function compilePath(node: Node): Shortcut | null {
  const names = plainPath(node);
  if (names === null) return null;
  return (scope) => {
    let value: unknown = scope;
    for (const name of names) {
      if (typeof value !== "object" || value === null) return undefined;
      // JSONata goes on with each item of a list.
      if (Array.isArray(value)) return UNSURE;
      if (!Object.hasOwn(value, name)) return undefined;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  };
}

const ORDER: Readonly<Record<string, (a: number | string, b: number | string) => boolean>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

function compileBinary(node: Node): Shortcut | null {
  const left = node.lhs === undefined ? null : compileShortcut(node.lhs);
  const right = node.rhs === undefined ? null : compileShortcut(node.rhs);
  if (left === null || right === null) return null;
  const operator = String(node.value);
  if (operator === "and" || operator === "or") return connect(left, right, operator === "or");
  if (operator === "=" || operator === "!=") return equal(left, right, operator === "=");
  const holds = ORDER[operator];
  return holds === undefined ? null : order(left, right, holds);
}

function equal(left: Shortcut, right: Shortcut, wanted: boolean): Shortcut {
  return (scope) => {
    const [a, b] = [left(scope), right(scope)];
    if (a === UNSURE || b === UNSURE) return UNSURE;
    if (a === undefined || b === undefined) return false;
    if (typeof a === "object" && a !== null && typeof b === "object" && b !== null) return UNSURE;
    return (a === b) === wanted;
  };
}

function order(
  left: Shortcut,
  right: Shortcut,
  holds: (a: number | string, b: number | string) => boolean,
): Shortcut {
  return (scope) => {
    const [a, b] = [left(scope), right(scope)];
    if (typeof a === "number" && typeof b === "number") return holds(a, b);
    if (typeof a === "string" && typeof b === "string") return holds(a, b);
    // Absent against what could be compared is absent; anything else is an error, which JSONata words.
    if (a === undefined && (b === undefined || typeof b === "number" || typeof b === "string"))
      return undefined;
    if (b === undefined && (typeof a === "number" || typeof a === "string")) return undefined;
    return UNSURE;
  };
}

function connect(left: Shortcut, right: Shortcut, or: boolean): Shortcut {
  return (scope) => {
    const a = truth(left(scope));
    if (a === UNSURE || a === or) return a;
    return truth(right(scope));
  };
}

/** JSONata's `$boolean`, absent being false; lists are left to it. */
export function truth(value: unknown): boolean | typeof UNSURE {
  switch (typeof value) {
    case "undefined":
      return false;
    case "boolean":
      return value;
    case "string":
      return value !== "";
    case "number":
      // An infinite one (1e999 in JSON) is an error there.
      return Number.isFinite(value) ? value !== 0 : UNSURE;
    case "object":
      if (value === null) return false;
      return Array.isArray(value) ? UNSURE : Object.keys(value).length > 0;
    default:
      return UNSURE;
  }
}

function compileCall(node: Node): Shortcut | null {
  const [argument, ...others] = node.arguments ?? [];
  if (node.procedure?.type !== "variable" || argument === undefined || others.length > 0) return null;
  const value = compileShortcut(argument);
  if (value === null) return null;
  switch (node.procedure.value) {
    case "exists":
      return (scope) => {
        const found = value(scope);
        return found === UNSURE ? UNSURE : found !== undefined;
      };
    case "not":
      return (scope) => {
        const found = value(scope);
        // Absent stays absent.
        if (found === undefined) return undefined;
        const is = truth(found);
        return is === UNSURE ? UNSURE : !is;
      };
    default:
      return null;
  }
}
