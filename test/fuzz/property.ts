/**
 * What the fuzz tests are made of. A property is run with as many inputs as the programme asks for (`npm test`: some
 * hundreds, `npm run test:faults`: ten thousand) and fails for the first that throws anything but an error that the code
 * means, that takes longer than it may, or of which what is asserted isn't so. fast-check then looks for a smaller one.
 */
import fc from "fast-check";
import { LeatError } from "../../src/errors.ts";

/** No call may keep the thread longer, in ms of its own processor time: other processes' load doesn't count. */
export const MAX_CALL_MS = 50;

/**
 * A call that takes too long is made again, once: a garbage collection or a compilation may have fallen into it, whose
 * processor time is the thread's own and no fault of the input. Twice in a row they don't; an input that is slow is slow
 * each time. (One that is slow only at first, by what is remembered afterwards, would pass: parsers here keep nothing.)
 */
const TRIES = 1;

export interface Checked {
  readonly runs: number;
  /** The longest call, in ms of processor time. */
  readonly slowestMs: number;
}

export interface Property {
  readonly name: string;
  /** Rejects with the counterexample, the seed and the path to it. */
  check(runs: number, seed: number): Promise<Checked>;
}

/** Calls within the time that a call has. What it throws passes; it may be called more than once. */
export type Within = <R>(call: () => R) => R;

/** `holds` throws where the property doesn't hold. */
export function property<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  holds: (input: T, within: Within) => void | Promise<void>,
): Property {
  return {
    name,
    async check(runs, seed) {
      let slowestMs = 0;
      const within: Within = (call) => {
        const first = timed(call);
        let { ms } = first;
        for (let again = 0; ms > MAX_CALL_MS && again < TRIES; again++) ms = Math.min(ms, timed(call).ms);
        slowestMs = Math.max(slowestMs, ms);
        if (ms > MAX_CALL_MS) throw new Error(`a call took ${ms.toFixed(0)} ms, and may take ${MAX_CALL_MS}`);
        if ("error" in first) throw first.error;
        return first.value;
      };
      await fc.assert(
        fc.asyncProperty(inputs, async (input) => {
          await holds(input, within);
        }),
        { numRuns: runs, seed },
      );
      return { runs, slowestMs };
    },
  };
}

function timed<R>(
  call: () => R,
): ({ readonly value: R } | { readonly error: unknown }) & { readonly ms: number } {
  const before = usedMs();
  try {
    const value = call();
    return { value, ms: usedMs() - before };
  } catch (error) {
    return { error, ms: usedMs() - before };
  }
}

function usedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** What the call returns, or the LeatError that it throws; anything else that it throws passes. */
export function orLeatError<R>(call: () => R): R | LeatError {
  try {
    return call();
  } catch (error) {
    if (error instanceof LeatError) return error;
    throw error;
  }
}
