/** JSONata's functions as it hands them round. */

/** What JSONata gives a function as `this`. */
export interface Focus {
  readonly environment: { readonly timestamp: Date };
  createSequence(...items: unknown[]): unknown[];
}

export type Builtin = (this: Focus, ...args: never[]) => unknown;

/** A function of JSONata's own, as a variable holds it. */
export interface NativeFunction {
  readonly implementation: Builtin;
  readonly signature: { readonly definition: string };
}

/** What JSONata calls through `apply`: a JavaScript function or one of its own lambdas. */
export interface Applicable {
  apply(self: unknown, args: unknown[]): unknown;
}

/** Whether a value is one of JSONata's functions, its own or a user's: JavaScript's, or objects that hold environments. */
export function isFunction(value: unknown): boolean {
  if (typeof value === "function") return true;
  if (typeof value !== "object" || value === null) return false;
  return "_jsonata_function" in value || "_jsonata_lambda" in value;
}
