import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  compilePattern,
  covers,
  escapePattern,
  hasInnerWildcard,
  isPattern,
  literalName,
  plainPattern,
  sampleText,
} from "../src/pattern.ts";

const matches = (pattern: string, text: string) => compilePattern(pattern)(text);

test("a star stays within one segment, two cross", () => {
  assert.equal(matches("room.*", "room.42"), true);
  assert.equal(matches("room.*", "room.42.a"), false);
  assert.equal(matches("room.*", "room.a/b"), false);
  assert.equal(matches("room.*", "rooms.42"), false);
  assert.equal(matches("sensors/**", "sensors/a/b.c"), true);
  assert.equal(matches("sensors/**", "sensors"), false);
  assert.equal(matches("sensors/*/temperature", "sensors/a/temperature"), true);
  assert.equal(matches("sensors/*/temperature", "sensors/a/b/temperature"), false);
  assert.equal(matches("**.failed", "a.b.failed"), true);
  assert.equal(matches("payment_intent.*ed", "payment_intent.succeeded"), true);
  assert.equal(matches("*", "anything-at_all"), true);
  assert.equal(matches("*", "a.b"), false);
  assert.equal(matches("**", ""), true);
});

test("characters that mean something to regular expressions mean themselves", () => {
  assert.equal(matches("a+(b)?[c]|$", "a+(b)?[c]|$"), true);
  assert.equal(matches("a.c", "abc"), false);
});

test("a backslash makes a star literal", () => {
  assert.equal(matches("user.\\*", "user.*"), true);
  assert.equal(matches("user.\\*", "user.1"), false);
  assert.equal(isPattern("user.\\*"), false);
  assert.equal(literalName("user.\\*"), "user.*");
  assert.equal(literalName("user.*"), null);
});

test("a pattern has one plain spelling, and a text that it matches, whichever way it is written", () => {
  for (const [written, plain, sample] of [
    ["doc.\\7", "doc.7", "doc.7"],
    ["d\\oc.*", "doc.*", "doc.*"],
    ["doc.\\*", "doc.\\*", "doc.*"],
    ["doc.\\**", "doc.\\**", "doc.**"],
    ["doc.***", "doc.**", "doc.**"],
    ["doc\\", "doc\\\\", "doc\\"],
    ["\\\\\\*\\a", "\\\\\\*a", "\\*a"],
    ["\\😀", "😀", "😀"],
    ["", "", ""],
  ] as const) {
    assert.equal(plainPattern(written), plain, written);
    assert.equal(sampleText(written), sample, written);
  }
});

test("a pattern covers what is equal to it or narrower", () => {
  assert.equal(covers("sensors/**", "sensors/**"), true);
  assert.equal(covers("sensors/**", "sensors/*/temperature"), true);
  assert.equal(covers("sensors/*", "sensors/**"), false);
  assert.equal(covers("room.*", "room.42"), true);
  assert.equal(covers("room.42", "room.*"), false);
  assert.equal(covers("*.*", "a.*"), true);
  assert.equal(covers("room.*", "*"), false);
  assert.equal(covers("user.\\*", "user.*"), false);
});

test("a wildcard is inner where something stands behind it", () => {
  for (const each of ["*a", "**.failed", "a.*.b", "*\\*", "a**\\"])
    assert.equal(hasInnerWildcard(each), true, each);
  for (const each of ["", "a", "a.*", "**", "a***", "\\*a", "a\\*b*"])
    assert.equal(hasInnerWildcard(each), false, each);
});

test("sixty thousand patterns that readers bring take little memory, and little time where they don't fit", () => {
  const made = Array.from({ length: 60_000 }, (_, n) => compilePattern(`**${String(n).padStart(200, "a")}`));
  const started = performance.now();
  for (const each of made) assert.equal(each("prices.EUR"), false);
  assert.ok(performance.now() - started < 500, `${performance.now() - started} ms`);
});

const alphabet = fc.constantFrom("a", "b", ".", "/", "*", "**", "\\*", "\\\\");
const pattern = fc.array(alphabet, { maxLength: 8 }).map((parts) => parts.join(""));
const text = fc.string({ unit: fc.constantFrom("a", "b", ".", "/", "*", "\\"), maxLength: 8 });

/** The plain recursive meaning, slow and obvious. */
function reference(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern.startsWith("**")) {
    return reference(pattern.slice(2), text) || (text !== "" && reference(pattern, text.slice(1)));
  }
  if (pattern.startsWith("*")) {
    if (reference(pattern.slice(1), text)) return true;
    return text !== "" && text[0] !== "." && text[0] !== "/" && reference(pattern, text.slice(1));
  }
  const escaped = pattern.startsWith("\\") && pattern.length > 1;
  const char = escaped ? pattern[1] : pattern[0];
  return text[0] === char && reference(pattern.slice(escaped ? 2 : 1), text.slice(1));
}

test("matching is what the definition says, for any pattern and text", () => {
  fc.assert(
    fc.property(pattern, text, (p, t) => matches(p, t) === reference(p, t)),
    { numRuns: 5000 },
  );
});

test("patterns of any length match what the definition says", () => {
  const long = fc.array(fc.constantFrom("a", "aaaaaaaaaaaaaaa", "b", ".", "*", "**"), { maxLength: 14 });
  fc.assert(
    fc.property(long, fc.infiniteStream(fc.constantFrom("a", "b", "")), (parts, fill) => {
      // A text that the pattern nearly matches, or does.
      const text = parts
        .map((part) => (part.startsWith("*") ? (fill.next().value as string) : part))
        .join("");
      for (const each of [text, text.slice(1), `${text}a`]) {
        assert.equal(matches(parts.join(""), each), reference(parts.join(""), each));
      }
    }),
    { numRuns: 3000 },
  );
});

test("an escaped text matches itself alone, inside any pattern", () => {
  fc.assert(
    fc.property(text, text, (t, other) => {
      assert.equal(matches(escapePattern(t), t), true);
      assert.equal(matches(escapePattern(t), other), t === other);
      assert.equal(matches(`user.${escapePattern(t)}`, `user.${other}`), t === other);
    }),
    { numRuns: 2000 },
  );
});

test("what a covered pattern matches, the covering one matches too", () => {
  fc.assert(
    fc.property(pattern, pattern, text, (wide, narrow, t) => {
      if (covers(wide, narrow) && matches(narrow, t)) assert.equal(matches(wide, t), true);
    }),
    { numRuns: 5000 },
  );
});

test("every pattern covers itself", () => {
  fc.assert(
    fc.property(pattern, (p) => covers(p, p)),
    { numRuns: 2000 },
  );
});

test("a name full of what a pattern looks for costs no more than pattern × name", () => {
  const hostile = compilePattern("*a".repeat(60));
  const started = performance.now();
  assert.equal(hostile(`${"a".repeat(4000)}b`), false);
  assert.ok(performance.now() - started < 500);
});

test("a thousand hostile patterns of readers hold up an event no longer than some milliseconds each", () => {
  const hostile = Array.from({ length: 1000 }, (_, n) => compilePattern(`room.${"**a".repeat(80)}${n}`));
  const name = `room.${"a".repeat(250)}`;
  const started = performance.now();
  for (const each of hostile) assert.equal(each(name), false);
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
});

test("what a reader asks for is held against a pattern as quickly", () => {
  const started = performance.now();
  for (let n = 0; n < 1000; n++) covers(`room.${"**a".repeat(80)}`, `room.${"**a".repeat(80)}b`);
  assert.ok(performance.now() - started < 1000, `${performance.now() - started} ms`);
});

test("a hundred names are held against a hundred entries in some milliseconds", () => {
  const entries = Array.from({ length: 100 }, (_, n) => `room.kind.${n}.${"**abcdefghijklmnop".repeat(10)}`);
  const names = Array.from({ length: 100 }, (_, n) => `${n}`.padStart(250, "room.kind"));
  for (const name of names) for (const entry of entries) covers(entry, name);
  const before = process.cpuUsage();
  for (const name of names) for (const entry of entries) assert.equal(covers(entry, name), false);
  const { user } = process.cpuUsage(before);
  assert.ok(user < 60_000, `${user} us`);
});

test("spelt plainly a pattern matches the same texts, its own sample among them, and is as plain as it gets", () => {
  const spelt = fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "\\"), maxLength: 8 });
  fc.assert(
    fc.property(spelt, text, (pattern, text) => {
      const plain = plainPattern(pattern);
      assert.equal(matches(plain, text), matches(pattern, text));
      assert.equal(plainPattern(plain), plain);
      assert.ok(matches(pattern, sampleText(pattern)));
      assert.equal(sampleText(plain), sampleText(pattern));
      assert.ok(covers(plain, pattern) && covers(pattern, plain));
    }),
    { numRuns: 3000 },
  );
});
