/**
 * Reading a zod schema beside the value it describes: which field stands at a path, what it expects, what marks it has.
 * The checks, the filling in of variables and the generators all look at schemas through here and nowhere else.
 */
import { z } from "zod";
import { type FieldFlags, flags } from "./fields.ts";

export type Path = readonly (string | number)[];

/** A schema with its wrappers (optional, default, pipe) taken off, and what they said. */
export interface Field {
  readonly schema: z.core.$ZodType;
  readonly description: string | null;
  readonly flags: FieldFlags;
  /** May be left out: optional, or has a default. */
  readonly optional: boolean;
  /** The default as a person would write it; undefined where there is none. */
  readonly fallback: unknown;
}

/** Zod's own definition of a schema, typed by its `type`. */
type Definition = z.core.$ZodTypes["_zod"]["def"];

function definition(schema: z.core.$ZodType): Definition {
  return schema._zod.def as Definition;
}

export function fieldOf(schema: z.core.$ZodType): Field {
  let description: string | null = null;
  let marks: FieldFlags = {};
  let optional = false;
  let fallback: unknown;
  let at = schema;
  for (;;) {
    description ??= z.globalRegistry.get(at as z.ZodType)?.description ?? null;
    marks = { ...flags.get(at as z.ZodType), ...marks };
    const def = definition(at);
    if (def.type === "default" || def.type === "prefault") {
      optional = true;
      fallback ??= def.defaultValue;
      at = def.innerType;
    } else if (def.type === "optional" || def.type === "nullable") {
      optional = true;
      at = def.innerType;
    } else if (def.type === "readonly" || def.type === "nonoptional" || def.type === "catch")
      at = def.innerType;
    else if (def.type === "pipe") at = def.in;
    else if (def.type === "lazy") at = def.getter();
    else return { schema: at, description, flags: marks, optional, fallback };
  }
}

/** The fields of a map, in the order they were written; none for anything else. */
export function shapeOf(schema: z.core.$ZodType): [key: string, field: z.core.$ZodType][] {
  const def = definition(fieldOf(schema).schema);
  return def.type === "object" ? Object.entries(def.shape) : [];
}

/** The alternatives of a union, flattened; the field alone for anything else. */
export function alternatives(field: Field): Field[] {
  const def = definition(field.schema);
  if (def.type !== "union") return [field];
  return def.options.flatMap((option) => {
    const inner = fieldOf(option);
    return alternatives({ ...inner, flags: { ...field.flags, ...inner.flags } });
  });
}

/** The values that `type:` may have in a map of several kinds, with the fields of each; null for anything else. */
export function choicesOf(field: Field): Map<string, Field> | null {
  const def = definition(field.schema);
  if (def.type !== "union" || !("discriminator" in def)) return null;
  const choices = new Map<string, Field>();
  for (const option of alternatives(field)) {
    for (const value of literals(option, String(def.discriminator))) choices.set(value, option);
  }
  return choices;
}

function literals(option: Field, key: string): string[] {
  const field = shapeOf(option.schema).find(([name]) => name === key);
  if (!field) return [];
  const def = definition(fieldOf(field[1]).schema);
  return def.type === "literal" ? def.values.map(String) : [];
}

/** The alternatives that a value could be meant as: by its `type:`, else by what kind of value it is. */
export function meant(field: Field, value: unknown): Field[] {
  const choices = choicesOf(field);
  if (choices) {
    const chosen = isMap(value) ? choices.get(String(value.type)) : undefined;
    return chosen ? [chosen] : [];
  }
  const all = alternatives(field);
  if (all.length === 1) return all;
  return all.flatMap((option) => {
    if (choicesOf(option)) return meant(option, value);
    return takes(option, value) ? [option] : [];
  });
}

function takes(field: Field, value: unknown): boolean {
  const { type } = definition(field.schema);
  if (type === "object" || type === "record") return isMap(value);
  if (type === "array") return Array.isArray(value);
  if (type === "unknown" || type === "any") return true;
  return value !== null && typeof value !== "object";
}

/** The fields that one step of a path may lead to. */
export function step(field: Field, value: unknown, key: string | number): Field[] {
  return meant(field, value).flatMap((option) => {
    const def = definition(option.schema);
    if (def.type === "object") {
      const inner = Object.hasOwn(def.shape, key) ? def.shape[key] : undefined;
      return inner ? [fieldOf(inner)] : [];
    }
    if (def.type === "array") return [fieldOf(def.element)];
    if (def.type === "record") return [fieldOf(def.valueType)];
    return [];
  });
}

/** The fields that may stand at a path. */
export function fieldsAt(schema: z.core.$ZodType, value: unknown, path: Path): Field[] {
  let fields = [fieldOf(schema)];
  let at = value;
  for (const key of path) {
    fields = fields.flatMap((field) => step(field, at, key));
    at = childOf(at, key);
  }
  return fields;
}

/** Calls back for every value that the schema has a field for, parents first. */
export function visit(
  fields: readonly Field[],
  value: unknown,
  path: Path,
  callback: (fields: readonly Field[], value: unknown, path: Path) => void,
): void {
  if (fields.length === 0) return;
  callback(fields, value, path);
  for (const [key, child] of childrenOf(value)) {
    visit(
      fields.flatMap((field) => step(field, value, key)),
      child,
      [...path, key],
      callback,
    );
  }
}

export function childrenOf(value: unknown): [key: string | number, child: unknown][] {
  if (Array.isArray(value)) return [...value.entries()];
  return isMap(value) ? Object.entries(value) : [];
}

export function childOf(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return value[Number(key)];
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(childOf, value);
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export type Kind = "string" | "number" | "boolean" | "array" | "map" | "anything";

/** The kinds of value that a field takes. */
export function kindsOf(fields: readonly Field[]): Set<Kind> {
  return new Set(fields.flatMap(alternatives).map((field) => kindOf(definition(field.schema))));
}

function kindOf(def: Definition): Kind {
  if (def.type === "object" || def.type === "record") return "map";
  if (def.type === "literal") return typeof def.values[0] === "boolean" ? "boolean" : "string";
  if (def.type === "number" || def.type === "boolean" || def.type === "array") return def.type;
  return def.type === "unknown" || def.type === "any" ? "anything" : "string";
}

/** The words that a field takes, where it takes words from a list; else null. */
export function wordsOf(field: Field): string[] | null {
  const words: string[] = [];
  for (const option of alternatives(field)) {
    const def = definition(option.schema);
    if (def.type === "enum") words.push(...Object.values(def.entries).map(String));
    else if (def.type === "literal") words.push(...def.values.map(String));
    else return null;
  }
  return words;
}

/** What a field takes, for people: "a duration", "one of key, none", "a map", "a rate or a list". */
export function expects(field: Field): string {
  if (field.flags.expects) {
    const list = kindsOf([field]).has("array") && kindsOf([field]).size > 1;
    return list ? `${field.flags.expects}, or a list of them` : field.flags.expects;
  }
  const choices = choicesOf(field);
  if (choices) return `a map with type: ${orList([...choices.keys()])}`;
  const words = wordsOf(field);
  if (words) return words.length === 1 ? `${words[0]}` : `one of ${words.join(", ")}`;
  const all = alternatives(field);
  if (all.length > 1) return orList([...new Set(all.map(expects))]);
  const def = definition(field.schema);
  switch (def.type) {
    case "object":
    case "record":
      return "a map";
    case "array": {
      const item = fieldOf(def.element);
      const plain = alternatives(item).length === 1 && kindsOf([item]).has("map");
      return plain ? "a list of maps" : `a list, each ${expects(item)}`;
    }
    case "boolean":
      return "true or false";
    case "number":
      return "a number";
    default:
      return "text";
  }
}

/** `a`, `a or b`, `a, b or c`. */
export function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
