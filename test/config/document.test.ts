import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFile, type SourceFile } from "../../src/config/document.ts";
import { Problems } from "../../src/config/problem.ts";

function parsed(text: string): SourceFile {
  const problems = new Problems();
  const file = parseFile("f", text, problems);
  assert.ok(file, JSON.stringify(problems.sorted(["f"])));
  return file;
}

function at(file: SourceFile, path: (string | number)[], key?: "key"): string {
  const { line, column } = file.place(path, key);
  return `${line}:${column}`;
}

test("every key and value has its place, and what isn't there the place of what is around it", () => {
  const file = parsed("a:\n  b: [x, { c: y }]\nd: 1\n");
  assert.deepEqual(file.value, { a: { b: ["x", { c: "y" }] }, d: 1 });
  assert.equal(at(file, ["a"], "key"), "1:1");
  assert.equal(at(file, ["a", "b"], "key"), "2:3");
  assert.equal(at(file, ["a", "b", 0]), "2:7");
  assert.equal(at(file, ["a", "b", 1, "c"]), "2:15");
  assert.equal(at(file, ["a", "b", 1, "nope"]), "2:10");
  assert.equal(at(file, ["a", "b", 9, "nope"]), "2:6");
  assert.equal(at(file, ["nope"]), "1:1");
});

test("what came by an alias or a merge has the place where it was written", () => {
  const file = parsed("x: &x { t: 5s }\na: *x\nb: { <<: *x, u: 1 }\nc: { <<: [*x, { v: 2 }] }\n");
  assert.deepEqual(file.value.b, { t: "5s", u: 1 });
  assert.equal(at(file, ["a"]), "2:4");
  assert.equal(at(file, ["a", "t"]), "1:12");
  assert.equal(at(file, ["b", "t"], "key"), "1:9");
  assert.equal(at(file, ["b", "u"]), "3:17");
  assert.equal(at(file, ["c", "v"]), "4:20");
});

test("a character within a value has its place, whatever the quotes", () => {
  const place = (text: string, path: string[], offset: number) => {
    const { line, column } = parsed(text).placeWithin(path, offset);
    return `${line}:${column}`;
  };
  assert.equal(place("a: body.x\n", ["a"], 5), "1:9");
  assert.equal(place('a: "body.x"\n', ["a"], 5), "1:10");
  assert.equal(place("a: 'body.x'\n", ["a"], 5), "1:10");
  assert.equal(place("a: |\n  one\n  two\n", ["a"], 0), "2:3");
  assert.equal(place("a: |\n  one\n  two\n", ["a"], 5), "3:4");
  assert.equal(place("a: |\n  one\n\n    two\n", ["a"], 8), "4:6");
  // With an escape before it, only the value's own place is known.
  assert.equal(place('a: "b\\tody"\n', ["a"], 3), "1:4");
});

test("an empty file is an empty configuration", () => {
  for (const text of ["", "\n", "# comment\n", "---\n", "~\n"]) assert.deepEqual(parsed(text).value, {});
});

test("no and off are words, as YAML 1.2 has it", () => {
  assert.deepEqual(parsed("a: off\nb: no\nc: 010\nd: 0o10\n").value, { a: "off", b: "no", c: 10, d: 8 });
});
