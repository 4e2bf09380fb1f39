import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { readConfiguration } from "../../src/commands/configuration.ts";
import { formatProblem } from "../../src/config/load.ts";

const REST = `
sources:
  hooks: { type: webhook, path: /hooks, verify: { type: none }, key: body.id }
sinks:
  out: { type: stdout }
routes:
  all: { from: hooks, to: out }
`;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "leat-config-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

type Options = Parameters<typeof readConfiguration>[1];

function load(t: TestContext, yaml: string, options: Options = {}) {
  const file = join(folder(t), "leat.yaml");
  writeFileSync(file, yaml);
  const result = readConfiguration([file], { env: {}, ...options });
  if (!result.ok) assert.fail(result.problems.map(formatProblem).join("\n"));
  return result;
}

function problems(t: TestContext, yaml: string, options: Options = {}): string[] {
  const file = join(folder(t), "leat.yaml");
  writeFileSync(file, yaml);
  const result = readConfiguration([file], { env: {}, ...options });
  return result.ok ? [] : result.problems.map((problem) => formatProblem({ ...problem, file: "f" }));
}

test("what is left out gets the defaults of the design", (t) => {
  const { settings, plan } = load(t, REST);
  assert.equal(settings.server.listen, "127.0.0.1:8080");
  assert.equal(settings.server.admin, "127.0.0.1:8081");
  assert.equal(settings.limits.eventBytes, 2 ** 20);
  assert.deepEqual(settings.shutdown, { delayMs: 5000, timeoutMs: 35_000 });
  assert.deepEqual(plan.retention, {
    ageMs: 7 * 86_400_000,
    bytes: 10 * 2 ** 30,
    dead: { ageMs: 30 * 86_400_000, bytes: 2 * 2 ** 30 },
  });
  const [source] = plan.sources;
  assert.equal(source?.decode, "auto");
  assert.equal(source?.dedupeMs, 3 * 86_400_000);
  assert.equal(source?.key, "body.id");
  const policy = plan.routes[0]?.to[0]?.policy;
  assert.deepEqual(policy, plan.sinks[0]?.policy);
  assert.deepEqual(policy, {
    retry: {
      initialMs: 5000,
      factor: 4,
      maxWaitMs: 6 * 3_600_000,
      maxAgeMs: { keyed: 6 * 3_600_000, unkeyed: 3 * 86_400_000 },
      jitter: 0.2,
      maxAttempts: null,
      scheduleMs: null,
      deadOn: { keyed: [400, 404, 413, 422], unkeyed: [] },
    },
    breaker: { failures: 10, probeMs: 5000, maxMs: 60_000 },
    backlog: { ageMs: 4 * 86_400_000, size: { share: 0.2 } },
    timeoutMs: 10_000,
    concurrency: 16,
    rate: null,
    order: "key",
    onDead: "skip",
  });
});

test("what a target says of retry goes over the sink's, and leaves the rest of it", (t) => {
  const { plan } = load(
    t,
    `${REST}  more:
    from: hooks
    to: { sink: out, as: slow, was: old/out, start: "2026-01-31T12:00:00Z", retry: { initial: 1m, dead_on: [], max_age: 1h } }
`,
  );
  const target = plan.routes[1]?.to[0];
  assert.equal(target?.subscription, "more/slow");
  assert.equal(target?.was, "old/out");
  assert.equal(target?.start, Date.UTC(2026, 0, 31, 12));
  assert.equal(target?.policy?.retry.initialMs, 60_000);
  assert.equal(target?.policy?.retry.factor, 4);
  assert.deepEqual(target?.policy?.retry.deadOn, { keyed: [], unkeyed: [] });
  assert.deepEqual(target?.policy?.retry.maxAgeMs, { keyed: 3_600_000, unkeyed: 3_600_000 });
});

test("a stream's subscription bears its name, and a target's template goes over the sink's", (t) => {
  const { plan } = load(
    t,
    `
sources:
  hooks: { type: webhook, path: /hooks, verify: { type: none }, dedupe: off }
sinks:
  tabs: { type: sse, path: /events, auth: { type: none }, channel: general, channels: [general, "user.*"] }
routes:
  all: { from: hooks, transform: { a: "{{ body.a }}" }, to: [tabs, { sink: tabs, channel: "user.{{ body.u }}", transform: body }] }
`,
  );
  assert.equal(plan.sources[0]?.dedupeMs, null);
  const [plain, own] = plan.routes[0]?.to ?? [];
  assert.deepEqual(
    [plain?.subscription, plain?.templates, plain?.policy],
    ["tabs", { channel: "general" }, null],
  );
  assert.deepEqual(plain?.transform, { kind: "map", map: { a: "{{ body.a }}" } });
  assert.deepEqual([own?.subscription, own?.templates], ["tabs", { channel: "user.{{ body.u }}" }]);
  assert.deepEqual(own?.transform, { kind: "jsonata", expression: "body" });
});

test("a variable goes over the file, and an argument over both", (t) => {
  const yaml = `log: { level: error, format: json }\nlimits: { headers: 50 }\n${REST}`;
  const env = {
    LEAT_LOG_LEVEL: "warn",
    LEAT_LIMITS_HEADERS: "60",
    LEAT_ADMIN_HOSTS: "a.example, b.example",
    LEAT_HTTP_KEEP_ALIVE: "5s",
  };
  const { settings } = load(t, yaml, { env, args: ["--log-level=debug", "--config", "x"] });
  assert.deepEqual(settings.log, { level: "debug", format: "json" });
  assert.equal(settings.limits.headers, 60);
  assert.deepEqual(settings.server.adminHosts, ["a.example", "b.example"]);
  assert.equal(settings.server.http.keepAliveMs, 5_000);
  assert.equal(load(t, yaml, { env }).settings.log.level, "warn");
  assert.equal(load(t, yaml, { env, readEnv: false }).settings.log.level, "error");
});

test("the journal's folder counts from the file that names it; by a variable, from where one stands", (t) => {
  const path = folder(t);
  mkdirSync(join(path, "sub"));
  writeFileSync(join(path, "sub", "leat.yaml"), `journal: { path: events }\n${REST}`);
  const named = readConfiguration([join(path, "sub", "leat.yaml")], { env: {} });
  assert.equal(named.ok && named.settings.journal.path, join(path, "sub", "events"));
  const over = readConfiguration([join(path, "sub", "leat.yaml")], {
    env: { LEAT_JOURNAL_PATH: "elsewhere" },
  });
  assert.equal(over.ok && over.settings.journal.path, join(process.cwd(), "elsewhere"));
});

test("variables and files are filled in, with defaults, as text or as what the schema takes", (t) => {
  const path = folder(t);
  writeFileSync(join(path, "secret"), "s3cr3t-from-a-file\n");
  writeFileSync(
    join(path, "leat.yaml"),
    `
sources:
  hooks:
    type: webhook
    path: "/\${WHERE:-hooks}"
    status: "\${STATUS}"
    verify: { type: github, secret: ["\${file:secret}", "\${S}", "$\${literal}"] }
sinks: { out: { type: stdout, concurrency: "\${EMPTY:-3}" } }
routes: { all: { from: hooks, to: out, where: 'body.a = "\${S}"' } }
`,
  );
  const result = readConfiguration([join(path, "leat.yaml")], {
    env: { S: "from: [a, variable]", STATUS: "202", EMPTY: "" },
  });
  assert.ok(result.ok);
  assert.deepEqual(result.plan.sources[0]?.config, {
    path: "/hooks",
    verify: { type: "github", secret: ["s3cr3t-from-a-file", "from: [a, variable]", `\${literal}`] },
    methods: ["POST"],
    status: 202,
    decompress: false,
  });
  assert.equal(result.plan.sinks[0]?.policy?.concurrency, 3);
  assert.equal(result.plan.routes[0]?.where, `body.a = "\${S}"`);
});

test("a mounted ConfigMap is read through its links, and once", (t) => {
  const path = folder(t);
  mkdirSync(join(path, "..data_1"));
  writeFileSync(join(path, "..data_1", "leat.yaml"), REST);
  symlinkSync("..data_1", join(path, "..data"));
  symlinkSync("..data/leat.yaml", join(path, "leat.yaml"));
  const result = readConfiguration([path, path], { env: {} });
  assert.ok(result.ok);
  assert.deepEqual(result.files, [join(path, "leat.yaml")]);
});

test("a file over 1 MiB, one that is not UTF-8 and one that may not be read are refused by name", (t) => {
  const path = folder(t);
  writeFileSync(join(path, "large.yaml"), `# ${"x".repeat(2 ** 20)}\n`);
  writeFileSync(join(path, "latin1.yaml"), Buffer.from("x-a: caf\xe9\n", "latin1"));
  writeFileSync(join(path, "locked.yaml"), REST);
  chmodSync(join(path, "locked.yaml"), 0);
  const result = readConfiguration([path], { env: {} });
  assert.ok(!result.ok);
  const lines = result.problems.map((problem) => formatProblem(problem).replaceAll(`${path}/`, ""));
  assert.deepEqual(lines.slice(0, 2), [
    "large.yaml: is larger than 1 MiB; split it: --config takes a folder, or several files",
    "latin1.yaml: is not UTF-8 text",
  ]);
  // Root may read anything.
  if (process.getuid?.() !== 0) assert.equal(lines[2], "locked.yaml: may not be read by this user");
});

test("without a path it is ./leat.yaml, and it says so where there is none", (t) => {
  const before = process.cwd();
  const path = folder(t);
  t.after(() => process.chdir(before));
  process.chdir(path);
  const none = readConfiguration([], { env: {} });
  assert.match(
    none.ok ? "" : formatProblem(none.problems[0]!),
    /neither .\/leat.yaml nor \/etc\/leat\/leat.yaml/,
  );
  writeFileSync("leat.yaml", REST);
  assert.equal(readConfiguration([], { env: {} }).ok, true);
});

test("no secret is in any message, whatever is wrong around it", (t) => {
  const secret = "correct-horse-battery";
  const shapes = [
    `verify: { type: github, secret: "${secret}", secert: 1 }`,
    `verify: { type: githb, secret: "${secret}" }`,
    `verify: { type: stripe, secret: "\${S}", tolerance: "\${S}" }`,
    `verify: { type: basic, user: "a:b", password: "\${S}" }`,
    `verify: "\${S}"`,
    `verify: { type: "\${S}" }`,
    `verify: { type: github, secret: [["${secret}"]] }`,
    `verify: { type: github, secret: "${secret}" "x" }`,
    `verify: { type: github, secret: @${secret} }`,
    `verify: { type: github, secret: "${secret}\\q" }`,
    `verify: { type: standard, secret: "${secret}" }, status: "\${S}", key: "(\${S}"`,
    `verify: { type: none }, dedupe: "\${S}", decode: "\${S}", max_body: "\${S}", rate: "\${S}", path: "\${S}"`,
  ];
  for (const shape of shapes) {
    const yaml = `sources: { hooks: { type: webhook, path: /hooks, ${shape} } }\nsinks: {}\n`;
    const said = problems(t, yaml, { env: { S: secret } }).join("\n");
    assert.notEqual(said, "", shape);
    assert.ok(!said.includes(secret), said);
  }
});

test("no text makes it throw: it is a configuration or it has problems", (t) => {
  const path = join(folder(t), "leat.yaml");
  const words = fc.constantFrom(
    ..."sources sinks routes type webhook stdout sse path url verify none auth secret from to sink channel <<".split(
      " ",
    ),
    ..."retry match where transform x-a limits server log : - { } [ ] , & * | > ' \" # ? ! % @ ` {{ }} 1 null ~".split(
      " ",
    ),
    ": ",
    `\${`,
    "}",
    "\n",
    "\n  ",
    "\n    ",
    "&a ",
    "*a ",
    "- ",
  );
  const texts = fc.array(words, { maxLength: 60 }).map((list) => list.join(""));
  fc.assert(
    fc.property(texts, (text) => {
      writeFileSync(path, text);
      const result = readConfiguration([path], { env: {} });
      assert.ok(result.ok || result.problems.some((problem) => problem.severity === "error"));
    }),
    { numRuns: 400 },
  );
});

test("no value in the place of another makes it throw", (t) => {
  const path = join(folder(t), "leat.yaml");
  const whole = {
    server: { listen: "127.0.0.1:1" },
    limits: { event: "1MiB" },
    retention: { age: "7d", dead: { age: "1d" } },
    sources: {
      hooks: { type: "webhook", path: "/hooks", verify: { type: "github", secret: "x" }, key: "body.id" },
    },
    sinks: {
      out: { type: "webhook", url: "https://a.example/", retry: { dead_on: [400] }, headers: { a: "b" } },
      tabs: { type: "sse", path: "/events", auth: { type: "none" }, channels: ["all"] },
    },
    routes: {
      all: {
        from: ["hooks"],
        match: { type: "a" },
        transform: { a: "{{ type }}" },
        to: ["out", { sink: "tabs" }],
      },
    },
  };
  const places = [...placesIn(whole)];
  const values = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(`\${X}`, `\${file:x}`, "{{ x", "(", null, [], {}),
  );
  fc.assert(
    fc.property(fc.constantFrom(...places), values, (place, value) => {
      writeFileSync(path, JSON.stringify(replaced(whole, place, value)));
      const result = readConfiguration([path], { env: {} });
      assert.ok(result.ok || result.problems.some((problem) => problem.severity === "error"));
    }),
    { numRuns: 400 },
  );
});

function* placesIn(value: unknown, at: readonly string[] = []): Generator<readonly string[]> {
  if (at.length > 0) yield at;
  if (typeof value !== "object" || value === null) return;
  for (const [key, child] of Object.entries(value)) yield* placesIn(child, [...at, key]);
}

function replaced(whole: object, place: readonly string[], value: unknown): object {
  const copy = structuredClone(whole) as Record<string, unknown>;
  let at = copy;
  for (const key of place.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[place.at(-1) as string] = value;
  return copy;
}
