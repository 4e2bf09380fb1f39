import assert from "node:assert/strict";
import { test } from "node:test";
import { topicMatches } from "../../../src/brokers/rabbitmq/place.ts";

test("a topic exchange's pattern: * is one word, # any number of them", () => {
  for (const [pattern, key, fits] of [
    ["#", "", true],
    ["a.#", "a", true],
    ["a.#.z", "a.b.c.z", true],
    ["a.#.z", "a.b.c", false],
    ["a.*", "a.b", true],
    ["a.*", "a", false],
    ["*.#.*", "a", false],
    ["#.#", "a.b", true],
    ["a.b", "a.b.c", false],
  ] as const) {
    assert.equal(topicMatches(pattern, key), fits, `${pattern} and ${key}`);
  }
});

test("a pattern of many # takes no longer than its length: trying them one after the other would never end", () => {
  assert.ok(!topicMatches(`${"#.".repeat(60)}z`, "a.".repeat(100)));
});
