/**
 * JSONata marks its own objects by properties, and believes them in data too: a body with a field `tupleStream` would
 * have each of its fields become a variable (also `$$`), one with `_jsonata_lambda` would run. Such data isn't given to
 * it.
 */
import { EvaluationError } from "./evaluation-error.ts";
import { contentTypeOf, viewOrigin } from "./view.ts";

const MARKS = ["tupleStream", "_jsonata_lambda", "_jsonata_function"];
/** Without any of these in its bytes a JSON body holds none of the marks, and isn't looked at further. */
const TRACES = ["tupleStream", "_jsonata_", "\\u"];

const found = new WeakMap<object, string | null>();

/** @throws EvaluationError where the data holds a mark, saying which. */
export function refuseMarks(scope: object): void {
  let mark = found.get(scope);
  if (mark === undefined) {
    mark = findMark(scope);
    found.set(scope, mark);
  }
  if (mark !== null) {
    throw new EvaluationError("expression", `a field is called \`${mark}\`, which JSONata keeps for itself`);
  }
}

function findMark(scope: object): string | null {
  const origin = viewOrigin(scope);
  if (origin === undefined) return search(scope);
  if (origin.cause !== undefined) {
    const inCause = findMark(origin.cause);
    if (inCause !== null) return inCause;
  }
  const { buffer, byteOffset, byteLength } = origin.event.body;
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  const isForm = contentTypeOf(origin.event)?.includes("form") ?? false;
  if (!isForm && !TRACES.some((trace) => bytes.includes(trace))) return null;
  try {
    return search((scope as { body: unknown }).body);
  } catch {
    // A body that can't be decoded is never seen by JSONata.
    return null;
  }
}

function search(data: unknown): string | null {
  const stack = [data];
  while (stack.length > 0) {
    const item = stack.pop();
    if (typeof item !== "object" || item === null) continue;
    if (!Array.isArray(item)) {
      const mark = MARKS.find((name) => Object.hasOwn(item, name));
      if (mark !== undefined) return mark;
    }
    for (const inner of Object.values(item)) stack.push(inner);
  }
  return null;
}
