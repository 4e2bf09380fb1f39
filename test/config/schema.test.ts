import assert from "node:assert/strict";
import { test } from "node:test";
import { sinkTypes } from "../../src/components.ts";
import { targetSchema } from "../../src/config/schema.ts";

test("the schema of a sink's targets is made once, however many routes lead into it", () => {
  const schemas = sinkTypes.map(targetSchema);
  assert.equal(new Set(schemas).size, sinkTypes.length);
  assert.deepEqual(
    sinkTypes.map((type, nth) => targetSchema(type) === schemas[nth]),
    sinkTypes.map(() => true),
  );
});
