/** Expressions: JSONata over an event, harmless whatever they say and whatever the event holds. */
import { compileMisses, type Misses } from "./absence.ts";
import { BodyError } from "./body.ts";
import { MAIN_LIMITS } from "./budget.ts";
import { EvaluationError } from "./evaluation-error.ts";
import type { Awaitable } from "./gather.ts";
import { evaluateIsolated } from "./isolation.ts";
import { refuseMarks } from "./marks.ts";
import { weightOf } from "./parcel.ts";
import { parsePath, readPath } from "./path.ts";
import type { Json } from "./plain.ts";
import { compileProgram, type Program } from "./program.ts";
import { compileShortcut, type Shortcut, UNSURE } from "./shortcut.ts";

export interface Expression {
  readonly source: string;
  /**
   * Evaluates it over an event's view or any other plain data, and gives plain JSON data, or undefined for nothing.
   * What needs no JSONata comes at once, everything else as a promise.
   * @throws EvaluationError, at once or by the promise.
   */
  evaluate(scope: object): Awaitable<Json | undefined>;
  /** Whether it yielded nothing or false because a path that it asks for leads to nothing in this scope. */
  misses(scope: object): boolean;
}

/**
 * How often it may overrun on the main thread before it is always evaluated in the worker. So many in a row that didn't
 * make up for one: over millions of events, anything is caught now and then in the collection of garbage.
 */
const MAX_OVERRUNS = 3;
const MAKE_UP = 1_000;
/** Bytes of an event beyond which a single step of JSONata, which can't be interrupted, could be noticed by others. */
const MAIN_BYTES = 64 * 1024;

/** A header's name has dashes, which JSONata takes for minus; where such a path is all there is, there is no doubt. */
const HEADER_PATH = /^\s*(cause\.)*headers(_base64)?\.[\w-]+\s*$/;

/**
 * Compiles JSONata, or a header's path as `match` has it.
 * @throws ExpressionSyntaxError (a LeatError of kind `configuration`, with an offset), or LeatError `path_reserved`.
 */
export function compileExpression(source: string): Expression {
  return HEADER_PATH.test(source) ? headerPath(source) : new CompiledExpression(compileProgram(source));
}

function headerPath(source: string): Expression {
  const path = parsePath(source.trim());
  return {
    source,
    evaluate: (scope) => readPath(scope, path) as Json | undefined,
    misses: (scope) => readPath(scope, path) === undefined,
  };
}

class CompiledExpression implements Expression {
  readonly source: string;
  readonly #program: Program;
  readonly #shortcut: Shortcut | null;
  readonly #misses: Misses;
  #overruns = 0;
  #fits = 0;

  constructor(program: Program) {
    this.source = program.source;
    this.#program = program;
    this.#shortcut = compileShortcut(program.ast);
    this.#misses = compileMisses(program.ast);
  }

  evaluate(scope: object): Awaitable<Json | undefined> {
    if (this.#shortcut === null) return this.#byJsonata(scope);
    try {
      const value = this.#shortcut(scope);
      return value === UNSURE ? this.#byJsonata(scope) : (value as Json | undefined);
    } catch (error) {
      if (error instanceof BodyError) throw new EvaluationError("expression", error.message);
      throw error;
    }
  }

  async #byJsonata(scope: object): Promise<Json | undefined> {
    refuseMarks(scope);
    if (this.#overruns < MAX_OVERRUNS && weightOf(scope) <= MAIN_BYTES) {
      try {
        const value = await this.#program.run(scope, MAIN_LIMITS);
        if (this.#overruns > 0) this.#fitted();
        return value;
      } catch (error) {
        const overrun = error instanceof EvaluationError && ["timeout", "limit"].includes(error.fault);
        if (!overrun) throw error;
        this.#overruns += 1;
        this.#fits = 0;
      }
    }
    return await evaluateIsolated(this.source, scope);
  }

  #fitted(): void {
    this.#fits += 1;
    if (this.#fits < MAKE_UP) return;
    this.#overruns -= 1;
    this.#fits = 0;
  }

  misses(scope: object): boolean {
    try {
      return this.#misses(scope);
    } catch (error) {
      if (error instanceof BodyError) return false;
      throw error;
    }
  }
}
