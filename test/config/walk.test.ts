import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { duration, integer, object, oneOf, oneOrList, secret, text } from "../../src/config/fields.ts";
import { choicesOf, expects, fieldOf, fieldsAt, kindsOf, visit } from "../../src/config/walk.ts";

const schema = object({
  timeout: duration().prefault("5s").describe("How long"),
  verify: z
    .discriminatedUnion("type", [
      object({ type: z.literal("none") }),
      object({ type: z.literal("key"), secret: oneOrList(secret()) }),
    ])
    .describe("Who"),
  named: z.record(z.string(), object({ n: integer(1, 3).optional() })).default({}),
  deny: z.union([z.literal("all"), z.array(text())]).optional(),
});

test("a field is told by what is under its wrappers, and by what they say", () => {
  const field = fieldOf(schema.shape.timeout);
  assert.equal(field.description, "How long");
  assert.equal(field.fallback, "5s");
  assert.equal(field.optional, true);
  assert.equal(field.flags.expects, "a duration");
  assert.equal(fieldOf(schema.shape.verify).optional, false);
  assert.equal(fieldOf(duration().describe("d").optional()).flags.expects, "a duration");
});

test("the field at a path is found by the value's own type", () => {
  const value = { verify: { type: "key", secret: ["a"] }, named: { x: { n: 1 } } };
  const [one] = fieldsAt(schema, value, ["verify", "secret", 0]);
  assert.equal(one?.flags.secret, true);
  const [n] = fieldsAt(schema, value, ["named", "x", "n"]);
  assert.equal(n?.flags.expects, "a whole number from 1 to 3");
  assert.deepEqual(fieldsAt(schema, { verify: { type: "none" } }, ["verify", "secret"]), []);
  assert.deepEqual(fieldsAt(schema, value, ["nope", "x"]), []);
});

test("choices, kinds and what is expected are told for people", () => {
  const verify = fieldOf(schema.shape.verify);
  assert.deepEqual([...(choicesOf(verify)?.keys() ?? [])], ["none", "key"]);
  assert.equal(expects(verify), "a map with type: none or key");
  assert.equal(expects(fieldOf(schema.shape.deny)), "all or a list, each text");
  assert.equal(expects(fieldOf(oneOf(["a", "b", "c"]))), "one of a, b, c");
  assert.equal(expects(fieldOf(oneOrList(secret()))), "a secret, or a list of them");
  assert.deepEqual([...kindsOf([fieldOf(schema.shape.deny)])], ["string", "array"]);
});

test("a visit calls back for what the schema knows, and for nothing else", () => {
  const seen: string[] = [];
  const value = { verify: { type: "key", secret: "s", strange: { deep: 1 } }, other: 1, named: { x: {} } };
  visit([fieldOf(schema)], value, [], (_fields, _value, path) => seen.push(path.join(".")));
  assert.deepEqual(seen, ["", "verify", "verify.type", "verify.secret", "named", "named.x"]);
});
