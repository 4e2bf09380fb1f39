/**
 * What one evaluation may use. Evaluations in a thread run one after another (`program.ts` sees to it), so the one
 * that runs is known here, and what JSONata calls back (its guards, our built-ins, regular expressions) can account
 * for it without being told which it is.
 *
 * On the main thread the limits are those of a pause nobody notices: past one of them the evaluation is cut off there
 * and repeated in the worker. In the worker they are final.
 */
import { STOOD_STILL_MS } from "../ports.ts";
import { EvaluationError } from "./evaluation-error.ts";

export interface Limits {
  /** Milliseconds it may run. */
  readonly ms: number;
  /** UTF-16 units of one string. */
  readonly text: number;
  /** Items of one list. */
  readonly items: number;
  /** Values (each item, each field, inside each other) of what it builds. */
  readonly values: number;
  /** UTF-16 units of all strings that built-ins made. */
  readonly made: number;
  /** Length of the text × size of the regular expression, for one search. */
  readonly search: number;
}

/**
 * 10 ms, and sizes that a single step, which can't be interrupted, gets through in about as long (measured: a search
 * takes 40 ns a unit of work).
 */
export const MAIN_LIMITS: Limits = {
  ms: 10,
  text: 128 * 1024,
  items: 10_000,
  values: 100_000,
  made: 16 * 1024 * 1024,
  search: 300_000,
};

/**
 * 200 ms. Its sizes are there for memory: a thread's heap limit doesn't hold back a single allocation that is too
 * large, which ends the whole process.
 */
export const WORKER_LIMITS: Limits = {
  ms: 200,
  text: 16 * 1024 * 1024,
  items: 100_000,
  values: 2_000_000,
  made: 256 * 1024 * 1024,
  search: Number.POSITIVE_INFINITY,
};

interface Running {
  readonly limits: Limits;
  deadline: number;
  cpu: number;
  /** When the time was last looked at. */
  seen: number;
  made: number;
}

let running: Running | null = null;

/** Starts the account of an evaluation. */
export function open(limits: Limits): void {
  const seen = performance.now();
  running = { limits, deadline: seen + limits.ms, cpu: cpuMs(), seen, made: 0 };
}

/** Ends it. What the evaluation left running (the other fields of an object, after one threw) ends at its next step. */
export function close(): void {
  running = null;
}

/** The limits of the evaluation that runs. */
export function limits(): Limits {
  return account().limits;
}

function account(): Running {
  if (running === null) throw new EvaluationError("stopped", "the evaluation has ended");
  return running;
}

/** On a busy machine the wall clock runs while we don't; so many times its own time an evaluation may take by it. */
const BUSY = 10;

/** Throws once the time is up. Called at every step of an evaluation. */
export function checkTime(): void {
  const own = account();
  const now = performance.now();
  const stood = now - own.seen;
  own.seen = now;
  if (now <= own.deadline) return;
  const used = cpuMs() - own.cpu;
  if (used < own.limits.ms) {
    // A step that took so long without using the processor: its time stood still with it.
    if (stood > STOOD_STILL_MS) own.deadline += stood;
    if (now < own.deadline + own.limits.ms * BUSY) return;
  }
  throw new EvaluationError("timeout", `it ran for longer than ${own.limits.ms} ms`);
}

/** Milliseconds of processor time that this thread has used. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Throws for a string that is, or would be, longer than one may be. */
export function checkText(length: number): void {
  const { text } = account().limits;
  if (length > text) throw new EvaluationError("limit", `a text would be longer than ${text} characters`);
}

/** The same, for one that a built-in makes: all of them together have a bound too. */
export function spendText(length: number): void {
  checkText(length);
  const own = account();
  own.made += length;
  if (own.made > own.limits.made) {
    throw new EvaluationError("limit", `it makes more than ${own.limits.made} characters of text`);
  }
}

/** Throws for a list that has, or would have, more items than one may have. */
export function checkItems(length: number): void {
  const { items } = account().limits;
  if (length > items) throw new EvaluationError("limit", `a list would have more than ${items} items`);
}

/** Throws before a search that could take too long; searching itself can't be interrupted. */
export function checkSearch(work: number): void {
  if (work > account().limits.search) throw new EvaluationError("limit", "a search would take too long");
}
