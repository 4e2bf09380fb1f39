/** The worker thread's side of `isolation.ts`: evaluates one expression after another, within the worker's limits. */
import { parentPort } from "node:worker_threads";
import { WORKER_LIMITS } from "./budget.ts";
import { EvaluationError } from "./evaluation-error.ts";
import type { Answer, Question } from "./isolation.ts";
import { unpack } from "./parcel.ts";
import { compileProgram, type Program } from "./program.ts";

/** More than a configuration holds; a reload brings new ones. */
const MAX_PROGRAMS = 1_000;
const programs = new Map<string, Program>();

function program(source: string): Program {
  let known = programs.get(source);
  if (known === undefined) {
    if (programs.size >= MAX_PROGRAMS) programs.clear();
    known = compileProgram(source);
    programs.set(source, known);
  }
  return known;
}

async function answer({ id, source, parcel }: Question): Promise<Answer> {
  try {
    return { id, value: await program(source).run(unpack(parcel), WORKER_LIMITS) };
  } catch (error) {
    if (error instanceof EvaluationError) return { id, fault: error.fault, message: error.message };
    return { id, fault: "expression", message: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on("message", async (question: Question) => {
  parentPort?.postMessage(await answer(question));
});
parentPort?.postMessage("ready");
