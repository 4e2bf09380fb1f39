import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpEndpoint } from "../../src/component.ts";
import { EndpointTable } from "../../src/http/endpoints.ts";

const endpoint = (path: string, subtree: boolean): HttpEndpoint => ({ path, subtree, handle() {} });

const table = new EndpointTable([
  endpoint("/hooks/stripe", true),
  endpoint("/hooks", true),
  endpoint("/events", false),
]);

function find(path: string, where = table): string {
  const found = where.find(path);
  return found === null ? "none" : `${found.endpoint.path} + ${found.rest}`;
}

test("the longest path wins, and only whole segments count", () => {
  assert.equal(find("/hooks/stripe"), "/hooks/stripe + ");
  assert.equal(find("/hooks/stripe/"), "/hooks/stripe + /");
  assert.equal(find("/hooks/stripe/a/b"), "/hooks/stripe + /a/b");
  assert.equal(find("/hooks/stripes"), "/hooks + /stripes");
  assert.equal(find("/hooksx"), "none");
  assert.equal(find("/"), "none");
  assert.equal(find("//hooks"), "none");
});

test("an endpoint without a subtree takes its own path only", () => {
  assert.equal(find("/events"), "/events + ");
  assert.equal(find("/events/"), "none");
  assert.equal(find("/events/a"), "none");
});

test("the root takes what no other does", () => {
  const rooted = new EndpointTable([endpoint("/", true), endpoint("/api", true)]);
  assert.equal(find("/", rooted), "/ + ");
  assert.equal(find("/page.css", rooted), "/ + /page.css");
  assert.equal(find("/api/x", rooted), "/api + /x");
});

test("two endpoints at one path are a defect", () => {
  assert.throws(() => new EndpointTable([endpoint("/a", true), endpoint("/a", false)]), /two endpoints/);
});

test("a path of very many slashes costs nothing", () => {
  const begun = performance.now();
  for (let n = 0; n < 100; n++) find("/".repeat(60_000));
  assert.ok(performance.now() - begun < 1000);
});
