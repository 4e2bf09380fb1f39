/** Plain JSON data: how large it is, and the copy of what an expression yields that is nothing else. */
import { limits } from "./budget.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { isFunction } from "./native-function.ts";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Deeper than any data, and safe for code that recurses. */
const MAX_DEPTH = 500;

export interface Size {
  /** How many values there are, each item and field counted, each time it occurs. */
  readonly values: number;
  /** UTF-16 units of all texts and names. */
  readonly text: number;
  readonly depth: number;
}

/**
 * The size that a value would have as a tree. The same list may stand in it many times, and in that one another, so
 * that forty lists make 2^40 values: the walk ends with an error where it is past what an evaluation may build.
 */
export function measure(value: unknown): Size {
  const most = limits();
  const size = { values: 0, text: 0, depth: 0 };
  const walk = (item: unknown, depth: number): void => {
    size.values++;
    if (typeof item === "string") size.text += item.length;
    if (size.values > most.values) throw tooLarge(`it builds more than ${most.values} values`);
    if (size.text > most.made) throw tooLarge(`it builds more than ${most.made} characters of text`);
    if (typeof item !== "object" || item === null) return;
    if (depth > MAX_DEPTH)
      throw new EvaluationError("result", `it is nested deeper than ${MAX_DEPTH} levels`);
    if (depth > size.depth) size.depth = depth;
    if (Array.isArray(item)) for (const inner of item) walk(inner, depth + 1);
    else if (!isFunction(item)) {
      for (const [name, inner] of Object.entries(item)) {
        size.text += name.length;
        walk(inner, depth + 1);
      }
    }
  };
  walk(value, 1);
  return size;
}

function tooLarge(message: string): EvaluationError {
  return new EvaluationError("limit", message);
}

/** Whether all numbers are ones that JSON has: 1e999 is infinite as a double, and would become null on its way. */
export function hasFiniteNumbers(value: Json): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return Array.isArray(value) ? value.every(hasFiniteNumbers) : Object.values(value).every(hasFiniteNumbers);
}

/**
 * A copy of plain data: JSONata's lists carry marks and functions of its own. Fields without a value are left out;
 * undefined stays undefined.
 * @throws EvaluationError for functions, numbers that JSON doesn't have, and data that is nested too deep.
 */
export function plain(value: unknown): Json | undefined {
  if (value === undefined) return undefined;
  measure(value);
  return copy(value);
}

function copy(value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Number.isFinite(value)) return value;
      throw new EvaluationError("result", `it yields ${value}, which JSON doesn't have`);
    case "object":
      if (value === null) return null;
      if (Array.isArray(value)) return value.map((item) => (item === undefined ? null : copy(item)));
      if (!isFunction(value)) return copyFields(value);
  }
  throw new EvaluationError("result", "it yields a function, not data");
}

function copyFields(value: object): Json {
  const fields: { [name: string]: Json } = {};
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    const data = copy(inner);
    // Assigning to `__proto__` would set the prototype.
    if (name === "__proto__")
      Object.defineProperty(fields, name, {
        value: data,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    else fields[name] = data;
  }
  return fields;
}
