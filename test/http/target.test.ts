import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePath, pathOf, queryOf } from "../../src/http/target.ts";

test("the path of a target is as it was sent, without the query", () => {
  assert.equal(pathOf("/a/b?c=/d"), "/a/b");
  assert.equal(pathOf("/a#b?c"), "/a");
  assert.equal(pathOf("//evil.example/a"), "//evil.example/a");
  assert.equal(pathOf("/a%2fb/../c"), "/a%2fb/../c");
  assert.equal(pathOf("http://host:1/a?b"), "/a");
  assert.equal(pathOf("HTTPS://host"), "/");
  assert.equal(pathOf("http://host?a"), "/");
  assert.equal(pathOf("*"), null);
  assert.equal(pathOf("host:443"), null);
  assert.equal(pathOf(""), null);
  assert.equal(pathOf("http:///a"), null);
});

test("the query of a target", () => {
  assert.equal(queryOf("/a?b=c?d#e"), "b=c?d");
  assert.equal(queryOf("/a"), "");
  assert.equal(queryOf("/a?"), "");
});

test("a part of a path decodes to text, or not at all", () => {
  assert.equal(decodePath("eu/order-1.~_"), "eu/order-1.~_");
  assert.equal(decodePath("caf%C3%A9%20%2f"), "café /");
  for (const wrong of ["%", "%zz", "%ff", "a%00", "a%0d%0ab", "é", "%C2%85", "a b"]) {
    assert.equal(decodePath(wrong), null, wrong);
  }
});

test("no target makes them throw", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webPath(), fc.webUrl()), (target) => {
      const path = pathOf(target);
      if (path !== null) {
        assert.ok(path.startsWith("/"));
        decodePath(path);
      }
      queryOf(target);
    }),
  );
});
