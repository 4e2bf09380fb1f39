/** Templates: text with `{{ expressions }}`, and maps whose texts are such. */
import { LeatError } from "../errors.ts";
import type { Transform } from "../plan.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { compileExpression, type Expression } from "./expression.ts";
import { type Awaitable, chain, gather, mend } from "./gather.ts";
import type { Json } from "./plain.ts";

/** A template or an expression that failed on an event: what it says, where it stands, and why. */
export class RenderError extends Error {
  /** `nothing` and `not_scalar` for what may not be put in, else the evaluation's fault. */
  readonly code: string;
  readonly expression: string;
  /** Where it stands: `where`, `transform.user.id`, `channel`. */
  readonly path: string;

  constructor(code: string, expression: string, path: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "RenderError";
    this.code = code;
    this.expression = expression;
    this.path = path;
  }

  static from(error: unknown, expression: string, path: string): RenderError {
    if (error instanceof RenderError) return error;
    if (error instanceof EvaluationError) {
      return new RenderError(error.fault, expression, path, error.message, error);
    }
    throw error;
  }
}

export interface Template {
  readonly source: string;
  /** False where it holds no `{{ }}` and is what it says. */
  readonly dynamic: boolean;
  /**
   * What it yields: the value itself, of any type, for a lone `{{ }}` (undefined for nothing), else a text in which
   * objects and lists stand as JSON and nothing as "".
   * @throws RenderError, at once or by the promise.
   */
  render(scope: object): Awaitable<Json | undefined>;
  /**
   * The text for a channel, topic, key, path or query. `encode` is applied to each value put in, not to the text
   * around it (`escapePattern`, `encodeURIComponent`).
   * @throws RenderError, also where a `{{ }}` yields null, nothing, or an object or list.
   */
  renderScalar(scope: object, encode?: (value: string) => string): Awaitable<string>;
}

type Part = { readonly text: string } | { readonly expression: Expression };

/**
 * Compiles a template; `path` says in errors where it stands.
 * @throws LeatError of kind `configuration`.
 */
export function compileTemplate(source: string, path = "template"): Template {
  const parts = parseTemplate(source);
  const lone = parts.length === 1 ? parts[0] : undefined;
  const loneExpression = lone !== undefined && "expression" in lone ? lone.expression : null;
  if (parts.every((part) => "text" in part)) {
    const text = parts.map((part) => part.text).join("");
    return { source, dynamic: false, render: () => text, renderScalar: () => text };
  }
  return {
    source,
    dynamic: true,
    render: (scope) =>
      loneExpression === null
        ? assemble(parts, scope, path, textOf)
        : evaluate(loneExpression, scope, path, (value) => value),
    renderScalar: (scope, encode = String) =>
      assemble(parts, scope, path, (value, expression) => encode(scalar(value, expression, path))),
  };
}

function assemble(
  parts: readonly Part[],
  scope: object,
  path: string,
  put: (value: Json | undefined, expression: Expression) => string,
): Awaitable<string> {
  const makes = parts.map((part) => () => {
    if ("text" in part) return part.text;
    return evaluate(part.expression, scope, path, (value) => put(value, part.expression));
  });
  return chain(gather(makes), (texts) => texts.join(""));
}

/** Evaluates one expression and hands its value on; what it throws says where it stood. */
function evaluate<T>(
  expression: Expression,
  scope: object,
  path: string,
  then: (value: Json | undefined) => T,
): Awaitable<T> {
  return mend(
    () => chain(expression.evaluate(scope), then),
    (error) => {
      throw RenderError.from(error, expression.source, path);
    },
  );
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function scalar(value: Json | undefined, expression: Expression, path: string): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return String(value);
  const [code, what] =
    value === undefined
      ? ["nothing", "nothing"]
      : value === null
        ? ["nothing", "null"]
        : ["not_scalar", Array.isArray(value) ? "a list" : "an object"];
  const message = `\`{{ ${expression.source} }}\` yields ${what}, where a text, a number, true or false is needed`;
  throw new RenderError(code, expression.source, path, message);
}

// -------------------------------------------------------------------------------------------------------------- parsing

function parseTemplate(source: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  while (at < source.length) {
    const open = source.indexOf("{{", at);
    if (open === -1) break;
    if (open > at) parts.push({ text: source.slice(at, open) });
    const close = closing(source, open + 2);
    if (close === -1) {
      throw new LeatError("configuration", "template_syntax", `\`{{\` without \`}}\` in \`${source}\``, {
        hint: 'Close it, or write a literal brace as {{ "{{" }}.',
      });
    }
    parts.push({ expression: compileInner(source.slice(open + 2, close).trim(), source) });
    at = close + 2;
  }
  if (at < source.length || parts.length === 0) parts.push({ text: source.slice(at) });
  return parts;
}

/** Where the `}}` is that closes an expression: not one inside a text, or of an object in an object. */
function closing(source: string, from: number): number {
  let depth = 0;
  for (let at = from; at < source.length; at++) {
    const char = source[at];
    if (char === '"' || char === "'" || char === "`") {
      const end = endOfText(source, at);
      if (end === -1) return -1;
      at = end;
    } else if (char === "{") depth++;
    else if (char === "}" && depth > 0) depth--;
    else if (char === "}" && source[at + 1] === "}") return at;
  }
  return -1;
}

function endOfText(source: string, start: number): number {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === "\\" && source[start] !== "`") at++;
    else if (source[at] === source[start]) return at;
  }
  return -1;
}

function compileInner(expression: string, source: string): Expression {
  if (expression === "") {
    throw new LeatError("configuration", "template_syntax", `an empty \`{{ }}\` in \`${source}\``, {
      hint: "Put a path or an expression in, such as {{ body.id }}.",
    });
  }
  return compileExpression(expression);
}

// ----------------------------------------------------------------------------------------------------------- transforms

/**
 * Compiles a transform: JSONata in a text, or a map whose texts, however deep, are templates (a lone `{{ }}` keeps its
 * type; a field that yields nothing is left out). Numbers are doubles, whatever the event's JSON said.
 *
 * The result yields undefined for nothing; it throws RenderError, at once or by the promise.
 * @throws LeatError of kind `configuration`.
 */
export function compileTransform(transform: Transform): (scope: object) => Awaitable<Json | undefined> {
  if (transform.kind === "map") return compileMap(transform.map, "transform");
  const expression = compileExpression(transform.expression);
  return (scope) => evaluate(expression, scope, "transform", (value) => value);
}

type Render = (scope: object) => Awaitable<Json | undefined>;

function compileMap(map: unknown, path: string): Render {
  if (typeof map === "string") {
    const template = compileTemplate(map, path);
    return (scope) => template.render(scope);
  }
  if (Array.isArray(map)) {
    const items = map.map((item, index) => compileMap(item, `${path}.${index}`));
    // A place in a list that yields nothing is null: leaving it out would move the others.
    return (scope) => chain(renderAll(items, scope), (values) => values.map((value) => value ?? null));
  }
  if (typeof map === "object" && map !== null) {
    const names = Object.keys(map);
    const fields = Object.values(map).map((field, index) => compileMap(field, `${path}.${names[index]}`));
    return (scope) => chain(renderAll(fields, scope), (values) => object(names, values));
  }
  const literal = map as Json;
  return () => literal;
}

function renderAll(renders: readonly Render[], scope: object): Awaitable<(Json | undefined)[]> {
  return gather(renders.map((render) => () => render(scope)));
}

function object(names: readonly string[], values: readonly (Json | undefined)[]): Json {
  const entries = names.map((name, index) => [name, values[index]] as const);
  // Unlike assignment, this makes a field of `__proto__`.
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined)) as Json;
}
