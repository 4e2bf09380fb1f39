import assert from "node:assert/strict";
import { test } from "node:test";
import {
  dotted,
  formatProblem,
  type Problem,
  Problems,
  sortProblems,
  suggest,
} from "../../src/config/problem.ts";

function problem(file: string, line: number, column: number, message = "m"): Problem {
  return { file, line, column, severity: "error", message, remedy: null };
}

test("a problem is one line: where, what, what to do", () => {
  assert.equal(formatProblem(problem("f.yaml", 3, 7, "x: is wrong")), "f.yaml:3:7: x: is wrong");
  assert.equal(
    formatProblem({ ...problem("f.yaml", 3, 7), severity: "warning", remedy: "mend it" }),
    "f.yaml:3:7: warning: m; mend it",
  );
  assert.equal(formatProblem(problem("LEAT_ADMIN", 0, 0)), "LEAT_ADMIN: m");
});

test("problems come in the order of the files given, then of their places, each once", () => {
  const sorted = sortProblems(
    [
      problem("LEAT_X", 0, 0),
      problem("b", 1, 1),
      problem("a", 10, 1),
      problem("a", 9, 8),
      problem("a", 9, 8),
      problem("a", 9, 7),
    ],
    ["b", "a"],
  );
  assert.deepEqual(
    sorted.map(({ file, line, column }) => `${file}:${line}:${column}`),
    ["b:1:1", "a:9:7", "a:9:8", "a:10:1", "LEAT_X:0:0"],
  );
});

test("the nearest known word is suggested, else those that are known", () => {
  const known = ["verify", "path", "two", "timeout"];
  assert.equal(suggest("verfy", known), 'did you mean "verify"?');
  assert.equal(suggest("tow", known), 'did you mean "two"?');
  assert.equal(suggest("tiemout", known), 'did you mean "timeout"?');
  assert.equal(suggest("paths", known), 'did you mean "path"?');
  assert.equal(suggest("secret", known), "known here: verify, path, two, timeout");
  assert.equal(suggest("secret", [...known, "two"]), "known here: verify, path, two, timeout", "each once");
  assert.equal(suggest("x", []), null);
});

test("a path reads as one would write it", () => {
  assert.equal(dotted(["routes", "a", "to", 1, "sink"]), "routes.a.to[1].sink");
  assert.equal(dotted([]), "the file");
});

test("what is hidden is in no message and no remedy", () => {
  const problems = new Problems();
  problems.hide("hunter2-hunter2");
  problems.error({ file: "f", line: 1, column: 1 }, "got hunter2-hunter2", "not hunter2-hunter2");
  const [shown] = problems.sorted(["f"]);
  assert.deepEqual([shown?.message, shown?.remedy], ["got ***", "not ***"]);
});
