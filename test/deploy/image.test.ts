/** The Dockerfile against package.json and the folder it is built from. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "./unit-file.ts";

const image = readFileSync(join(ROOT, "deploy/docker/Dockerfile"), "utf8");
const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  dependencies: Record<string, string>;
};

test("the image's Node is the one that the tests run on", () => {
  assert.match(image, new RegExp(`^ARG NODE_VERSION=${dependencies.node?.replaceAll(".", "\\.")}$`, "m"));
  assert.equal(process.versions.node, dependencies.node);
});

test("what the image copies is there, and .dockerignore lets it in, and nothing else", () => {
  const copied = [...image.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = ""]) =>
    files.split(" "),
  );
  assert.ok(copied.length >= 8);
  for (const file of copied) assert.ok(existsSync(join(ROOT, file)), file);
  const letIn = [...readFileSync(join(ROOT, ".dockerignore"), "utf8").matchAll(/^!(.+)$/gm)].map(
    ([, name]) => name,
  );
  assert.deepEqual(letIn.toSorted(), copied.toSorted());
});

test("it runs as nobody's root, under an init that hands signals on", () => {
  assert.match(image, /^USER 1000:1000$/m);
  assert.match(image, /^ENTRYPOINT \["tini", "--", "leat"\]$/m);
});
