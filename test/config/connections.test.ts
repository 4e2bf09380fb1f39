import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { expressions } from "../../src/commands/configuration.ts";
import type { ConnectionType, PushedSinkType, SourceType } from "../../src/component.ts";
import { sinkTypes, sourceTypes } from "../../src/components.ts";
import { duration, integer, object, oneOrList, secret, template, text } from "../../src/config/fields.ts";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { formatProblem, loadConfig } from "../../src/config/load.ts";
import { referencePages } from "../../src/config/reference.ts";
import { isMap } from "../../src/config/walk.ts";

const shape = {
  brokers: oneOrList(text()).describe("Where they are"),
  password: secret().optional().describe("The password"),
  timeout_ms: integer(1, 1000).default(100).describe("How long"),
  tls: object({ ca: text().optional(), servername: text().optional() }).optional().describe("TLS"),
};

const mill: ConnectionType = {
  kind: "connection",
  type: "mill",
  description: "A mill.",
  schema: object(shape),
};
const pond: ConnectionType = {
  kind: "connection",
  type: "pond",
  description: "A pond.",
  schema: object({ depth: duration() }),
};

const stopped = { start: async () => {}, stop: async () => {} };
const source: SourceType<{ brokers: string[]; topic: string }> = {
  kind: "source",
  type: "mill",
  description: "From a mill.",
  schema: object({ ...shape, topic: text().describe("Which") }),
  connection: mill,
  reads: ({ brokers, topic }, address) => address === `mill ${brokers.join()} ${topic}`,
  create: () => stopped,
};
const sink: PushedSinkType<{ brokers: string[] }> = {
  kind: "pushed",
  type: "mill",
  description: "To a mill.",
  schema: object({ ...shape, topic: template().describe("Which") }),
  templates: ["topic"],
  connection: mill,
  concurrency: 1000,
  writes: ({ brokers }, { topic = "" }) => (topic.includes("{{") ? null : `mill ${brokers.join()} ${topic}`),
  givesBack: () => false,
  create: () => ({ ...stopped, deliver: async () => ({ result: "delivered" }) }),
};
const swim: SourceType = {
  kind: "source",
  type: "swim",
  description: "From a pond.",
  schema: object({ depth: duration() }),
  connection: pond,
  create: () => stopped,
};
const components = { sources: [...sourceTypes, source, swim], sinks: [...sinkTypes, sink] } as Parameters<
  typeof loadConfig
>[0]["components"] &
  object;

const ROUTES = `
sources:
  orders: { type: mill, connection: mill, topic: orders }
sinks:
  out: { type: stdout }
routes:
  all: { from: orders, to: out }
`;

function load(
  t: TestContext,
  files: string | Record<string, string>,
  env: Record<string, string> = {},
  readEnv = true,
) {
  const folder = mkdtempSync(join(tmpdir(), "leat-connections-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const all = typeof files === "string" ? { "leat.yaml": files } : files;
  for (const [name, content] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  const paths = Object.keys(all)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => join(folder, name));
  const result = loadConfig({ paths, args: [], env, readEnv, expressions, components });
  const said = (result.ok ? result.warnings : result.problems).map((problem) =>
    formatProblem(problem).replaceAll(`${folder}/`, ""),
  );
  return {
    result,
    said,
    config: result.ok ? (result.plan.sources[0]?.config as Record<string, unknown>) : null,
  };
}

test("a source has its connection's fields, its own over them, and defaults under both", (t) => {
  const { config, said } = load(
    t,
    `connections:
  mill: { type: mill, brokers: "\${HOSTS}", password: "\${P}", tls: { ca: a, servername: b } }
sources:
  orders: { type: mill, connection: mill, topic: orders, tls: { ca: c } }
sinks:
  out: { type: stdout }
  back: { type: mill, connection: mill, topic: other, timeout_ms: 7 }
routes:
  all: { from: orders, to: [out, back] }
`,
    { HOSTS: "a:1", P: "hush-hush" },
  );
  assert.deepEqual(said, []);
  assert.deepEqual(config, {
    brokers: ["a:1"],
    password: "hush-hush",
    timeout_ms: 100,
    tls: { ca: "c" },
    topic: "orders",
  });
});

test("a sink's policy has its type's default of concurrency", (t) => {
  const { result } = load(
    t,
    `${ROUTES.replace("connection: mill", "brokers: a").replace("{ type: stdout }", "{ type: mill, brokers: a, topic: b }")}`,
  );
  assert.equal(result.ok && result.plan.sinks[0]?.policy?.concurrency, 1000);
});

test("what is wrong in a connection is told once, at its place, whoever names it", (t) => {
  const { said } = load(
    t,
    `connections:
  mill:
    type: mill
    brokers: a
    timeout_ms: many
    colour: red
${ROUTES}  again: { from: more, to: out }
`.replace("sinks:", "  more: { type: mill, connection: mill, topic: more }\nsinks:"),
  );
  assert.equal(said.length, 2);
  assert.match(
    said[0] ?? "",
    /^leat\.yaml:5:17: connections\.mill\.timeout_ms: "many" is not a whole number from 1 to 1000/,
  );
  assert.match(said[1] ?? "", /leat\.yaml:6:5: connections\.mill: unknown key "colour"/);
});

test("a field that only the connection has, and that the source needs, isn't missed where the connection is broken", (t) => {
  const { said } = load(t, `connections:\n  mill: { type: mill, brokers: [], }\n${ROUTES}`);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /^leat\.yaml:2:32: connections\.mill\.brokers: is empty/);
});

test("an unknown name suggests the nearest, and one of another type says so", (t) => {
  const { said } = load(
    t,
    `connections:\n  mil: { type: mill, brokers: a }\n  pool: { type: pond, depth: 5s }\n${ROUTES}`,
  );
  assert.deepEqual(said, [
    'leat.yaml:6:37: sources.orders.connection: there is no connection of this name; did you mean "mil"?',
  ]);
  const other = load(t, `connections:\n  mill: { type: pond, depth: 5s }\n${ROUTES}`);
  assert.deepEqual(other.said, [
    "leat.yaml:5:37: sources.orders.connection: the connection mill is of type pond, and here it takes one of type mill; name one of type mill",
  ]);
});

test("what the source's own check finds in a connection's field points at the connection", (t) => {
  const strict: SourceType = {
    ...(source as SourceType),
    schema: object({ ...shape, topic: text() }).refine((it) => it.timeout_ms > 50, {
      path: ["timeout_ms"],
      message: "is too short for this topic",
    }),
  };
  const folder = mkdtempSync(join(tmpdir(), "leat-connections-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, "a.yaml"),
    `connections:\n  mill: { type: mill, brokers: a, timeout_ms: 5 }\n${ROUTES}`,
  );
  const result = loadConfig({
    paths: [join(folder, "a.yaml")],
    args: [],
    env: {},
    readEnv: true,
    expressions,
    components: { sources: [strict], sinks: sinkTypes },
  });
  const [problem] = result.ok ? [] : result.problems;
  assert.equal(problem?.line, 2);
  assert.equal(problem?.column, 47);
  assert.match(problem?.message ?? "", /^sources\.orders\.timeout_ms: is too short/);
});

test("names are unique across files, and a secret's file counts from the folder of the connection's", (t) => {
  const { said } = load(t, {
    "a.yaml": ROUTES,
    "sub/b.yaml": `connections:\n  mill: { type: mill, brokers: a, password: "\${file:p.txt}" }\n`,
    "sub/p.txt": "hush-hush\n",
  });
  assert.deepEqual(said, []);
  const twice = load(t, {
    "a.yaml": `connections:\n  mill: { type: mill, brokers: a }\n${ROUTES}`,
    "b.yaml": "connections:\n  mill: { type: mill, brokers: b }\n",
  });
  assert.match(
    twice.said[0] ?? "",
    /^b\.yaml:2:3: connections\.mill: the name is taken; the other is at a\.yaml:2/,
  );
});

test("a variable that isn't set is told once, at the connection; without variables the rest is checked", (t) => {
  const yaml = `connections:\n  mill: { type: mill, brokers: "\${HOSTS}" }\n${ROUTES}`;
  const { said } = load(t, yaml);
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /^leat\.yaml:2:32: connections\.mill\.brokers: the variable HOSTS is not set/);
  assert.deepEqual(load(t, yaml, {}, false).said, []);
  const named = load(t, yaml.replace("connection: mill", `connection: "\${WHICH}"`), {}, false);
  assert.deepEqual(named.said, [
    "leat.yaml:2:3: warning: connections.mill: no source and no sink names this connection; remove it, or name it",
  ]);
});

test("a connection that nobody names is warned of; a name that is none, and an unknown type, are errors", (t) => {
  const own = ROUTES.replace("connection: mill", "brokers: a");
  const { said } = load(t, `connections:\n  mill: { type: mill, brokers: a }\n${own}`);
  assert.match(said[0] ?? "", /^leat\.yaml:2:3: warning: connections\.mill: no source and no sink names/);
  const bad = load(t, `connections:\n  Mill: { type: mil, brokers: a }\n${own}`);
  assert.match(bad.said[0] ?? "", /^leat\.yaml:2:3: connections\.Mill: is not a name/);
  assert.match(bad.said[1] ?? "", /"mil" is not known; did you mean "mill"\?/);
});

test("a type that takes no connection has no such key", (t) => {
  const { said } = load(
    t,
    `connections:\n  mill: { type: mill, brokers: a }\n${ROUTES.replace("{ type: stdout }", "{ type: stdout, connection: mill }")}`,
  );
  assert.match(said[0] ?? "", /sinks\.out: unknown key "connection"/);
});

test("the password of a URL is never shown", (t) => {
  const { said, result } = load(
    t,
    ROUTES.replace(
      "connection: mill",
      'brokers: { a: "amqp://joe:hush%2Dhush@host" }, timeout_ms: "amqp://joe:secret-2@host"',
    ),
  );
  assert.doesNotMatch(said.join("\n"), /hush|secret-2/);
  const good = load(t, ROUTES.replace("connection: mill", 'brokers: "amqp://joe:hush%2Dhush@host"'));
  assert.ok(result.secrets.includes("secret-2"));
  assert.ok(good.result.secrets.includes("hush-hush") && good.result.secrets.includes("hush%2Dhush"));
});

test("a sink that writes what a source of the same broker reads is warned of, also by the route's own topic", (t) => {
  const feeding = (topic: string, to: string) =>
    `connections:\n  mill: { type: mill, brokers: a }\n${ROUTES.replace(
      "{ type: stdout }",
      `{ type: mill, connection: mill, topic: ${topic} }`,
    ).replace("to: out", `to: ${to}`)}`;
  assert.match(
    load(t, feeding("orders", "out")).said[0] ?? "",
    /^leat\.yaml:9:28: warning: routes\.all\.to: the sink out writes what the source orders reads; an event that comes round is dead after 8 hops/,
  );
  assert.deepEqual(load(t, feeding("others", "out")).said, []);
  assert.match(
    load(t, feeding("others", "{ sink: out, topic: orders }")).said[0] ?? "",
    /writes what the source orders/,
  );
  assert.deepEqual(load(t, feeding('"{{ subject }}"', "out")).said, []);
});

test("an editor's schema and the reference know connections; what a connection may give isn't required", () => {
  const schema = jsonSchema(components) as Record<string, unknown>;
  const properties = isMap(schema.properties) ? schema.properties : {};
  assert.ok(isMap(properties.connections));
  const written = JSON.stringify(properties.sources);
  assert.match(written, /"connection":/);
  assert.doesNotMatch(written, /"required":\[[^\]]*"brokers"/);
  const pages = referencePages(components);
  assert.match(pages.get("connections.md") ?? "", /## mill[\s\S]*\| `brokers` \|/);
  assert.match(pages.get("sources.md") ?? "", /\| `connection` \| the name of a connection/);
  assert.match(pages.get("sinks.md") ?? "", /`concurrency` \|[^|]*\| `1000`/);
  assert.match(pages.get("file.md") ?? "", /\[`connections`\]\(connections\.md\)/);
});
