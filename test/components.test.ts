import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { sinkTypes, sourceTypes } from "../src/components.ts";
import { componentSchema, connectionFieldsOf, connectionTypes } from "../src/config/schema.ts";
import { fieldOf, shapeOf } from "../src/config/walk.ts";

const SRC = resolve(import.meta.dirname, "../src");

/** What sources or sinks of several types share. */
const SHARED = ["stream", "attributes", "in-turn", "take", "tell", "trace", "unsettled"];

function folders(kind: "sources" | "sinks"): string[] {
  return readdirSync(resolve(SRC, kind))
    .map((name) => name.replace(/\.ts$/, ""))
    .filter((name) => !SHARED.includes(name))
    .toSorted();
}

test("the list of sources and sinks agrees with the folders", () => {
  assert.deepEqual(sourceTypes.map(({ type }) => type).toSorted(), folders("sources"));
  assert.deepEqual(sinkTypes.map(({ type }) => type).toSorted(), folders("sinks"));
});

test("every connection, source and sink, and every field of it, is described", () => {
  const connections = connectionTypes({ sources: sourceTypes, sinks: sinkTypes });
  for (const type of [...connections, ...sourceTypes, ...sinkTypes]) {
    assert.notEqual(type.description, "");
    for (const [key, field] of shapeOf(componentSchema(type))) {
      assert.ok(fieldOf(field).description, `${type.kind} ${type.type}: ${key} has no description`);
    }
  }
});

test("a sink's templates are fields that may hold a template, or none of its own", () => {
  for (const type of sinkTypes) {
    const own = new Map(shapeOf(type.schema));
    for (const key of type.templates) {
      const field = own.get(key);
      assert.ok(!field || fieldOf(field).flags.template, `${type.type}: ${key}`);
    }
  }
});

test("what takes a connection has all of its fields, so that they may stand on either", () => {
  for (const type of [...sourceTypes, ...sinkTypes]) {
    const own = new Set(shapeOf(type.schema).map(([key]) => key));
    for (const key of connectionFieldsOf(type)) assert.ok(own.has(key), `${type.kind} ${type.type}: ${key}`);
  }
});
