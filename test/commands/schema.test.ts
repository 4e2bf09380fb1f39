import assert from "node:assert/strict";
import { test } from "node:test";
import { schemaCommand } from "../../src/commands/schema.ts";
import { runCommand } from "./run-command.ts";

test("prints the JSON Schema of the whole file", async () => {
  const { out, code } = await runCommand(schemaCommand, ["schema"]);
  assert.equal(code, 0);
  const { properties } = JSON.parse(out);
  for (const section of ["server", "journal", "retention", "sources", "sinks", "routes"])
    assert.ok(properties[section]);
});
