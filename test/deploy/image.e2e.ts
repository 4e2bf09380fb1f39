/** The Dockerfile and the manifests by other people's tools, and the image's health check against a real daemon. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeDaemon } from "../e2e/daemon.ts";
import { waitFor } from "../wait-for.ts";
import { TOOLS } from "./tools.ts";
import { ROOT } from "./unit-file.ts";

test("hadolint finds nothing in the Dockerfile", () => {
  const { status, stdout, stderr } = spawnSync(
    TOOLS.hadolint,
    ["--no-color", "--strict-labels", "deploy/docker/Dockerfile"],
    { cwd: ROOT, encoding: "utf8" },
  );
  assert.equal(stdout + stderr, "");
  assert.equal(status, 0);
});

test("what the Dockerfile copies is enough to build", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-image-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const letThrough = new Set(readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n"));
  const [first = ""] = readFileSync(join(ROOT, "deploy/docker/Dockerfile"), "utf8").split("# ---- the image");
  for (const [, words = ""] of first.matchAll(/^COPY (.*)$/gm)) {
    const sources = words.split(" ");
    const to = sources.pop() as string;
    for (const source of sources) {
      assert.ok(letThrough.has(`!${source}`), `.dockerignore leaves ${source} out`);
      cpSync(join(ROOT, source), join(folder, to === "./" ? source : to), { recursive: true });
    }
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const built = spawnSync(process.execPath, ["scripts/build.ts"], { cwd: folder, encoding: "utf8" });
  assert.equal(built.status, 0, built.stdout + built.stderr);
  assert.ok(existsSync(join(folder, "dist/main.js")));
});

test("every manifest is of its kind's schema, unknown fields included", () => {
  const files = globSync("deploy/kubernetes/*.yaml", { cwd: ROOT }).filter(
    (file) => !file.endsWith("kustomization.yaml"),
  );
  const { status, stdout, stderr } = spawnSync(TOOLS.kubernetesValidate, ["--strict", ...files], {
    cwd: ROOT,
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
  for (const file of files) assert.match(stdout + stderr, new RegExp(`${file} passed`));
});

test("a misspelt field of a manifest would be found", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "leat-manifest-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "statefulset.yaml");
  const manifest = readFileSync(join(ROOT, "deploy/kubernetes/statefulset.yaml"), "utf8");
  writeFileSync(file, manifest.replace("readOnlyRootFilesystem", "readonlyRootFilesystem"));
  assert.notEqual(spawnSync(TOOLS.kubernetesValidate, ["--strict", file]).status, 0);
});

test("the image's health check says 0 while Leat answers, and 1 when it doesn't", async (t) => {
  const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: stdout } }
routes: { all: { from: in, to: out } }
`);
  t.after(() => daemon.close());
  await daemon.start();
  const check = async () => {
    const child = spawn(process.execPath, [join(ROOT, "deploy/docker/healthcheck.js")], {
      env: { LEAT_ADMIN: `0.0.0.0:${new URL(daemon.admin).port}` },
    });
    return (await once(child, "exit"))[0] as number;
  };
  assert.equal(await check(), 0);
  daemon.signal("SIGKILL");
  await daemon.ended();
  await waitFor("the check to fail", async () => (await check()) === 1);
});
