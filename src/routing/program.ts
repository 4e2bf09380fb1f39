/**
 * A JSONata expression that can't hurt the thread it runs in. Used as it is by the main thread and by the worker, with
 * other limits (`budget.ts`).
 *
 * JSONata reads its options at every step and calls a hook after it, which is how an evaluation is held to its limits:
 * - `timeout` is an accessor that looks at our own clock (JSONata's is the wall clock, which may step back);
 * - `sequence` bounds the lists that JSONata makes, and `stack` how deep calls nest;
 * - the hook sees each result: a text's length (`$s & $s` doubles it), and how much a list or object holds. A list that
 *   stands twice in a list, and so on forty times, takes no room and 2^40 steps to look at, none of them interruptible.
 */
import jsonata from "jsonata";
import { LeatError } from "../errors.ts";
import { BodyError } from "./body.ts";
import { checkText, checkTime, close, type Limits, limits, open } from "./budget.ts";
import { boundedBuiltin, boundedNow } from "./builtins.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { type Builtin, isFunction, type NativeFunction } from "./native-function.ts";
import { reservedSegment, reservedSegmentError } from "./path.ts";
import { type Json, plain } from "./plain.ts";
import { compileRegularExpression, Re2Engine } from "./regular-expression.ts";
import { plainPath } from "./shortcut.ts";
import { type Node, walk } from "./syntax.ts";

/** Calls and constructors inside each other. */
const MAX_DEPTH = 1_000;

/** An expression that doesn't parse, or uses what Leat doesn't have. */
export class ExpressionSyntaxError extends LeatError {
  /** Where in the expression, in UTF-16 units from its start; null where JSONata doesn't say. */
  readonly offset: number | null;
  readonly token: string | null;

  constructor(message: string, source: string, at: { position?: unknown; token?: unknown }, hint?: string) {
    const token = typeof at.token === "string" ? at.token : null;
    // JSONata's position is where the token ends.
    const end = typeof at.position === "number" ? at.position : null;
    const start = end === null ? null : Math.max(0, end - (token?.length ?? 0));
    const found = start !== null && token !== null && source.startsWith(token, start);
    const offset = found ? start : end;
    super("configuration", "expression_syntax", message, {
      hint: hint ?? "The language is JSONata: https://docs.jsonata.org",
    });
    this.offset = offset;
    this.token = token;
  }
}

export interface Program {
  readonly source: string;
  readonly ast: Node;
  /**
   * Evaluates it after those that wait before it, and gives plain data or nothing (undefined).
   * @throws EvaluationError
   */
  run(scope: object, limits: Limits): Promise<Json | undefined>;
}

const NATIVE_NAMES =
  "sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match " +
  "contains replace split join formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt " +
  "power random boolean not map zip filter single reduce sift keys lookup append exists spread merge reverse each " +
  "error assert type sort shuffle distinct base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent " +
  "decodeUrl toMillis fromMillis clone";

/** JSONata doesn't export its functions, but a variable's value is one. */
const natives = new Map<string, NativeFunction>();
for (const name of NATIVE_NAMES.split(" ")) {
  natives.set(name, (await jsonata(`$${name}`).evaluate(undefined)) as NativeFunction);
}

/** As it is; its own types know no `this` like JSONata's. */
type RegisterFunction = (name: string, implementation: Builtin, signature: string) => void;

/** @throws ExpressionSyntaxError, or LeatError `path_reserved`. */
export function compileProgram(source: string): Program {
  const options = {
    RegexEngine: Re2Engine as unknown as RegExpConstructor,
    stack: MAX_DEPTH,
    get timeout(): number {
      checkTime();
      return 0;
    },
    get sequence(): number {
      return limits().items;
    },
  };
  const expression = parse(source, options);
  const ast = expression.ast() as unknown as Node;
  check(ast, source);
  const register = expression.registerFunction as unknown as RegisterFunction;
  for (const [name, native] of natives) {
    register(name, boundedBuiltin(name, native), native.signature.definition);
  }
  register("now", boundedNow(natives.get("fromMillis") as NativeFunction), "<s?s?:s>");
  const assign = expression.assign as (name: string | symbol, value: unknown) => void;
  assign("eval", undefined);
  assign(Symbol.for("jsonata.__evaluate_exit"), afterStep);
  return {
    source,
    ast,
    run: (scope, within) => inTurn(() => evaluate(expression, scope, within)),
  };
}

function parse(source: string, options: jsonata.JsonataOptions): jsonata.Expression {
  try {
    return jsonata(source, options);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new ExpressionSyntaxError("the expression is nested too deep", source, {}, "Split it.");
    }
    const { message, position, token } = error as { message?: string; position?: unknown; token?: unknown };
    throw new ExpressionSyntaxError(message ?? "the expression doesn't parse", source, { position, token });
  }
}

/** Refuses what would fail at every event. */
function check(ast: Node, source: string): void {
  walk(ast, (node) => {
    if (node.type === "variable" && node.value === "eval") {
      const at = { position: node.position, token: "eval" };
      throw new ExpressionSyntaxError("$eval is not available", source, at, "Write the expression itself.");
    }
    if (node.type === "name" && reservedSegment([String(node.value)]) !== undefined) {
      throw reservedSegmentError(String(node.value), source);
    }
    if (node.type === "binary" && node.value === "-" && node.lhs !== undefined && isHeader(node.lhs)) {
      // A header is a text, of which nothing can be taken away: its name has a dash.
      const at = { position: node.position, token: "-" };
      const hint = "Put a header's name that has dashes in backticks: headers.`x-request-id`.";
      throw new ExpressionSyntaxError("a header minus something has no value", source, at, hint);
    }
    if (node.type === "regex" && node.value instanceof RegExp) {
      try {
        compileRegularExpression(node.value);
      } catch (error) {
        const message = `${node.value} can't be used: ${error instanceof Error ? error.message : error}`;
        const hint = "Regular expressions are RE2's, without look-around and backreferences.";
        throw new ExpressionSyntaxError(message, source, { position: node.position }, hint);
      }
    }
    return true;
  });
}

function isHeader(node: Node): boolean {
  const names = plainPath(node) ?? [];
  const field = names.find((name) => name !== "cause");
  return field === "headers" && names.at(-1) !== field;
}

// ------------------------------------------------------------------------------------------------------------- running

/** How long evaluations follow each other before other work of the thread has its turn, in milliseconds. */
const SLICE_MS = 8;

let last: Promise<unknown> = Promise.resolve();
/** When the first evaluation of this turn of the event loop began; null before it. */
let sliceStart: number | null = null;

/** Evaluations never overlap: each then has its time to itself, and the account in `budget.ts` is one. */
function inTurn<T>(evaluation: () => Promise<T>): Promise<T> {
  const result = last.then(async () => {
    if (sliceStart !== null && performance.now() - sliceStart > SLICE_MS) await nextTurn();
    if (sliceStart === null) {
      sliceStart = performance.now();
      setImmediate(() => {
        sliceStart = null;
      });
    }
    return evaluation();
  });
  // What a failed one left running (JSONata evaluates an object's fields side by side) ends before the next one starts.
  last = result.catch(nextTurn);
  return result;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function evaluate(
  expression: jsonata.Expression,
  scope: object,
  within: Limits,
): Promise<Json | undefined> {
  open(within);
  try {
    return plain(await expression.evaluate(scope));
  } catch (error) {
    throw evaluationError(error);
  } finally {
    close();
  }
}

/** Names in JSONata's errors that stand for a limit. */
const LIMIT_CODES = new Set(["D2014", "D2015"]);

function evaluationError(error: unknown): EvaluationError {
  if (error instanceof EvaluationError) return error;
  if (error instanceof BodyError) return new EvaluationError("expression", error.message);
  if (error instanceof RangeError) {
    // V8's has no code to tell by: of the stack's end, or of a length, a precision that can't be.
    return new EvaluationError("expression", "it is nested too deep, or a value is out of range");
  }
  const { code, position, name } = error as { code?: string; position?: number; name?: string };
  const at = typeof position === "number" ? ` (at character ${position})` : "";
  // What isn't JSONata's own error (a TypeError within it) may name what it stumbled on.
  const text = code === undefined ? `it failed (${name ?? "unknown error"})` : withoutValues(error as object);
  const fault = code !== undefined && LIMIT_CODES.has(code) ? "limit" : "expression";
  return new EvaluationError(fault, `${text.slice(0, 500)}${at}`);
}

/** The fields of JSONata's errors that hold what came from the event; its messages quote them as JSON. */
const VALUES = ["value", "value2", "exp"] as const;

/**
 * JSONata's message without the values it quotes: it goes to logs and dead letters, where no payload belongs. What
 * `$error` and `$assert` say stays, being the expression's own words.
 */
function withoutValues(
  error: { code?: string; message?: string } & { [V in (typeof VALUES)[number]]?: unknown },
) {
  let text = error.message ?? String(error.code);
  for (const field of VALUES) {
    const quoted = JSON.stringify(error[field]);
    if (quoted !== undefined) text = text.replaceAll(quoted, "…");
  }
  return text;
}

// ------------------------------------------------------------------------------------------------------------ the hook

/** Steps that make a list or an object, where all others hand on what is there. */
const MAKERS = new Set(["unary", "function", "apply"]);

function afterStep(step: Node, _input: unknown, _environment: unknown, result: unknown): void {
  if (typeof result === "string") checkText(result.length);
  else if (
    typeof result === "object" &&
    result !== null &&
    (MAKERS.has(step.type) || step.group !== undefined)
  ) {
    weigh(result, limits().values);
  }
}

/** How many values a list or an object holds, each as often as it occurs. Kept, so that each is counted once. */
const weights = new WeakMap<object, number>();

function weigh(value: object, most: number): number {
  const known = weights.get(value);
  if (known !== undefined && known <= most) return known;
  if (isFunction(value)) return 1;
  let weight = 1;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    weight += typeof inner === "object" && inner !== null ? weigh(inner, most) : 1;
    if (weight > most) throw new EvaluationError("limit", `it builds more than ${most} values`);
  }
  weights.set(value, weight);
  return weight;
}
