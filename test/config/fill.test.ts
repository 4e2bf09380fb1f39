import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { duration, flag, integer, object, oneOrList, secret, text } from "../../src/config/fields.ts";
import { coerce, pieces } from "../../src/config/fill.ts";
import { fieldOf } from "../../src/config/walk.ts";

test("a string is taken apart into text, variables and files", () => {
  assert.deepEqual(pieces("plain"), [{ text: "plain" }]);
  assert.deepEqual(pieces(""), []);
  assert.deepEqual(pieces(`\${A}`), [{ variable: "A", fallback: null }]);
  assert.deepEqual(pieces(`x\${A:-b c}y`), [
    { text: "x" },
    { variable: "A", fallback: "b c" },
    { text: "y" },
  ]);
  assert.deepEqual(pieces(`\${A:-}`), [{ variable: "A", fallback: "" }]);
  assert.deepEqual(pieces(`\${file:/run/secrets/x}`), [{ file: "/run/secrets/x" }]);
  assert.deepEqual(pieces("$A $ {A} $$"), [{ text: "$A $ {A} $$" }]);
});

test(`$\${ is a literal \${`, () => {
  assert.deepEqual(pieces(`$\${A}`), [{ text: `\${` }, { text: "A}" }]);
  assert.deepEqual(pieces(`$$\${A}`), [{ text: "$" }, { text: `\${` }, { text: "A}" }]);
  assert.deepEqual(pieces(`$\${\${A}`), [{ text: `\${` }, { variable: "A", fallback: null }]);
});

test(`a \${ that is no reference is an error, not text`, () => {
  for (const written of [`\${`, `\${}`, `\${A`, `\${1A}`, `\${A-b}`, `\${a b}`, `\${file:}`, `a\${b.c}`]) {
    assert.ok(
      pieces(written).some((piece) => "malformed" in piece),
      written,
    );
  }
});

test("no text makes the parser throw, and nothing of it gets lost", () => {
  const texts = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[${}:A-Z-]{0,60}$/));
  fc.assert(
    fc.property(texts, (written) => {
      const parts = pieces(written);
      if (parts.some((piece) => "malformed" in piece)) return;
      const back = parts.map((piece) => {
        if ("text" in piece) return piece.text === `\${` ? `$\${` : piece.text;
        if ("file" in piece) return `\${file:${piece.file}}`;
        if ("variable" in piece)
          return `\${${piece.variable}${piece.fallback === null ? "" : `:-${piece.fallback}`}}`;
        return "";
      });
      assert.equal(back.join(""), written);
    }),
    { numRuns: 3000 },
  );
});

test("a long text of openings is taken apart in no time", () => {
  const began = performance.now();
  pieces(`\${`.repeat(100_000));
  pieces(`$\${`.repeat(100_000));
  assert.ok(performance.now() - began < 1000);
});

test("text becomes what the schema takes, and a list only where it takes nothing else", () => {
  const as = (schema: z.ZodType, written: string) => coerce(written, [fieldOf(schema)]);
  assert.equal(as(integer(1, 9).default(1), "5"), 5);
  assert.equal(as(integer(1, 9), "five"), "five");
  assert.equal(as(integer(1, 9), ""), "");
  assert.equal(as(flag(), "true"), true);
  assert.equal(as(flag(), "yes"), "yes");
  assert.equal(as(duration(), "5s"), "5s");
  assert.equal(as(text(), "5"), "5");
  assert.deepEqual(as(z.array(integer(1, 9)), "1, 2,3"), [1, 2, 3]);
  assert.deepEqual(as(z.array(text()), ""), []);
  assert.equal(as(oneOrList(secret()), "a,b"), "a,b");
  assert.equal(as(z.union([flag(), object({})]), "false"), false);
});
