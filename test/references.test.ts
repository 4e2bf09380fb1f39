/** What comments and pages say of the tree is there: a name that leads nowhere costs its reader more than none. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "..");
const NAMED = /(?<![\w./-])((?:src|test)\/[\w./-]+\.ts)\b/g;

test("every source and test that a comment or a page names is there", () => {
  const files = globSync(["src/**/*.ts", "test/**/*.ts", "docs/**/*.md", "*.md"], { cwd: ROOT });
  const named = files.flatMap((file) =>
    [...readFileSync(join(ROOT, file), "utf8").matchAll(NAMED)].map(([, name = ""]) => ({ file, name })),
  );
  assert.ok(named.length > 20, "the pattern still finds them");
  assert.deepEqual(
    named.filter(({ name }) => !existsSync(join(ROOT, name))),
    [],
  );
});
