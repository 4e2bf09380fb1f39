/** What `npm pack` puts together, unpacked elsewhere and run: the built Leat and every file it needs beside it. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { makeDaemon, makeReceiver } from "./daemon.ts";

const ROOT = resolve(import.meta.dirname, "../..");

let folder = "";
let packed = "";
let main = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "leat-package-"));
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT, stdio: "ignore" });
  const [archive = ""] = globSync("*.tgz", { cwd: folder });
  execFileSync("tar", ["-xzf", archive], { cwd: folder });
  packed = join(folder, "package");
  // As npm installs it, with what it depends on.
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  main = join(packed, "dist/main.js");
});

after(() => rmSync(folder, { recursive: true, force: true }));

function leat(args: readonly string[], ...options: readonly string[]) {
  return spawnSync(process.execPath, [...options, main, ...args], { cwd: folder, encoding: "utf8" });
}

test("the package holds what is run and read, and nothing else", () => {
  const files = globSync("**/*", { cwd: packed, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(packed.length + 1));
  for (const needed of ["config/quickstart.yaml", "docs/errors.md", "LICENSE", "README.md", "CHANGELOG.md"]) {
    assert.ok(files.includes(needed), needed);
  }
  const sources = globSync("src/**/*.ts", { cwd: ROOT }).flatMap((file) => {
    const built = file.replace(/^src/, "dist").replace(/\.ts$/, "");
    return built.startsWith("dist/client/") ? [`${built}.js`, `${built}.d.ts`] : [`${built}.js`];
  });
  assert.deepEqual(
    files.filter((file) => file.startsWith("dist/") && !file.startsWith("dist/console/page/")).toSorted(),
    [...sources, "dist/client/leat-client.js"].toSorted(),
  );
  assert.deepEqual(
    files.filter(
      (file) =>
        !/^(dist|config|docs|examples)\/|^(package\.json|LICENSE|README\.md|CHANGELOG\.md)$/.test(file),
    ),
    [],
  );
});

test("its commands know their version, its schema and the quickstart's configuration", () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  assert.equal(leat(["--version"]).stdout, `${version}\n`);
  assert.equal((JSON.parse(leat(["schema"]).stdout) as { type: string }).type, "object");
  const { stdout, status } = leat(["validate", join(packed, "config/quickstart.yaml")]);
  assert.equal(status, 0, stdout);
});

test("under an older Node it says which one to take", () => {
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`;
  const { status, stderr } = leat(["run"], "--import", `data:text/javascript,${encodeURIComponent(pretend)}`);
  assert.equal(status, 1);
  assert.match(stderr, /this is Node 20\.20\.2, and Leat needs 24\.15 or later/);
  assert.match(stderr, /npx leat/);
});

test("it delivers to a receiver and a stream, evaluates in its worker, and serves its page", async (t) => {
  const receiver = await makeReceiver();
  const daemon = await makeDaemon(
    `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  out: { type: webhook, url: "${receiver.url}/hook" }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, to: [out, live] }
  # Cut off on the main thread, repeated in the worker, dead there: the worker has run.
  loop: { from: in, to: { sink: out, transform: "($f := function($x) { $f($x) }; $f(1))" } }
`,
    {},
    main,
  );
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  const posted = await fetch(`${daemon.url}/in`, { method: "POST", body: '{"n":1}' });
  const { seq } = (await posted.json()) as { seq: number };
  assert.equal(posted.status, 200);

  await waitFor("the delivery", () => receiver.received.length === 1);
  assert.equal(receiver.received[0]?.body, '{"n":1}');
  const frames = await fetch(`${daemon.url}/events?since=${seq - 1}&wait=10s`, {
    headers: { accept: "application/json" },
  });
  assert.equal(((await frames.json()) as { events: unknown[] }).events.length, 1);
  const dead = await waitFor("the dead letter", async () => {
    const answer = (await (await fetch(`${daemon.admin}/api/dead`)).json()) as { dead: { error: string }[] };
    return answer.dead.length > 0 && answer.dead;
  });
  assert.deepEqual(
    dead.map(({ error }) => error),
    ["timeout"],
  );

  for (const [path, file] of [
    ["/", "index.html"],
    ["/console.js", "console.js"],
    ["/console.css", "console.css"],
  ] as const) {
    const page = await (await fetch(`${daemon.admin}${path}`)).text();
    assert.equal(page, readFileSync(join(ROOT, "src/console/page", file), "utf8"), path);
  }
  daemon.signal("SIGTERM");
  assert.equal(await daemon.ended(), 0, daemon.output());
});
