/** What went wrong with one evaluation of an expression, for the delivery's history. */

/**
 * - `expression`: it threw (a type error, `$error(…)`, a body that isn't JSON).
 * - `result`: what it yields is no JSON data (a function, a number that is none, too deep).
 * - `limit`: it would take more memory than an expression may.
 * - `timeout`: it ran for too long, also in the worker.
 * - `memory`: it ran the worker out of memory.
 * - `stopped`: Leat is stopping, or has no thread for it: not the expression's fault, and not the event's.
 */
export type EvaluationFault = "expression" | "result" | "limit" | "timeout" | "memory" | "stopped";

export class EvaluationError extends Error {
  readonly fault: EvaluationFault;

  constructor(fault: EvaluationFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "EvaluationError";
    this.fault = fault;
  }
}
