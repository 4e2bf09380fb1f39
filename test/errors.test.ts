/** docs/errors.md against the code, both ways: what can be said is listed, and what is listed can be said. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "..");
const PAGE = readFileSync(join(ROOT, "docs/errors.md"), "utf8");

/** The rows of one section's table: the code, then the other cells. */
function rows(section: string): Map<string, string[]> {
  const [, text = ""] = PAGE.split(`## ${section}\n`);
  const found = new Map<string, string[]>();
  for (const [, code = "", rest = ""] of (text.split("\n## ")[0] ?? "").matchAll(/^\| `(\w+)` \|(.*)\|$/gm)) {
    assert.ok(!found.has(code), `${code} stands twice under ${section}`);
    found.set(
      code,
      rest.split("|").map((cell) => cell.trim()),
    );
  }
  assert.ok(found.size > 0, `there is a section ${section}`);
  return found;
}

/** A place in the code where codes are written: a pattern whose groups hold literals, in these files. */
interface Place {
  readonly files: string | readonly string[];
  readonly pattern: RegExp;
}

/** Every literal of the code group (the last) at these places, with the text of the group before it. */
function written(places: readonly Place[]): { code: string; before: string; file: string }[] {
  return places.flatMap(({ files, pattern }) =>
    globSync(files as string[], { cwd: ROOT }).flatMap((file) =>
      [...readFileSync(join(ROOT, file), "utf8").matchAll(pattern)].flatMap((found) =>
        [...(found.at(-1) ?? "").matchAll(/"(\w+)"/g)].map(([, code = ""]) => ({
          code,
          before: found.at(-2) ?? "",
          file,
        })),
      ),
    ),
  );
}

const LEAT_ERRORS: readonly Place[] = [
  { files: "src/**/*.ts", pattern: /new LeatError\(\s*([^,]+),\s*([^,]+),/g },
  { files: "src/**/*.ts", pattern: /super\(\s*("\w+"),\s*("\w+"),/g },
];

const ANSWERS: readonly Place[] = [
  {
    files: ["src/{http,admin,console}/**/*.ts", "src/sinks/{sse,stream,websocket}/*.ts"],
    pattern: /answerError\(\s*request,\s*response,\s*\d+,\s*("\w+")/g,
  },
  {
    files: ["src/{http,admin}/**/*.ts", "src/sources/webhook/refusal.ts", "src/daemon/source-host.ts"],
    pattern: /\bcode: ("\w+")/g,
  },
  { files: "src/sources/webhook/refusal.ts", pattern: /refusal\(\s*\d+,\s*("\w+")/g },
  { files: "src/sinks/stream/access/*.ts", pattern: /\b(?:final|later)\(\s*\d+,\s*("\w+")/g },
  { files: "src/sinks/stream/channels.ts", pattern: /refused\(\d+, ("\w+")/g },
  { files: "src/daemon/source-host.ts", pattern: /over\(("\w+")/g },
  { files: "src/sinks/websocket/handshake.ts", pattern: /\brefuse\([^,]+, \d+, ("\w+")/g },
  { files: "src/http/body.ts", pattern: /settle\(("\w+")/g },
];

const FAULTS: readonly Place[] = [{ files: "src/sources/webhook/verify/*.ts", pattern: /\bfault\(("\w+")/g }];

const CLIENTS: readonly Place[] = [{ files: "src/sinks/websocket/*.ts", pattern: /\bcode: ("\w+")/g }];

const BROKER_REFUSALS: readonly Place[] = [
  { files: "src/sources/take.ts", pattern: /overLimit\(\s*arrival,\s*position,\s*("\w+")/g },
  { files: "src/sources/{kafka,mqtt,rabbitmq}/*.ts", pattern: /\btell\(("\w+")/g },
  { files: "src/sources/{kafka,mqtt,rabbitmq}/*.ts", pattern: /\breason: ("\w+")/g },
  { files: "src/brokers/kafka/*.ts", pattern: /new UnreadableBatch\(("\w+")/g },
];

const DELIVERIES: readonly Place[] = [
  { files: "src/{delivery,sinks,routing}/**/*.ts", pattern: /\berror: ("\w+")/g },
  { files: "src/sinks/mqtt/*.ts", pattern: /\berror: \w+ \? ("\w+") : "\w+"/g },
  { files: "src/sinks/mqtt/publication.ts", pattern: /new Unpublishable\(\s*("\w+")/g },
  { files: "src/brokers/kafka/producer.ts", pattern: /new BrokerError\(\s*("\w+")/g },
  // `stopped` is nobody's fault and becomes no delivery's error: the lease is given back.
  { files: "src/routing/*.ts", pattern: /new (?:Render|Evaluation)Error\((?!"stopped")("\w+")/g },
  { files: "src/routing/template.ts", pattern: /[?:] \[("\w+"), /g },
  { files: "src/sinks/webhook/failure.ts", pattern: /^ +[A-Z][A-Z_]+: ("\w+")/gm },
  { files: "src/sinks/webhook/failure.ts", pattern: /\? ("[a-z]+") : "[a-z]+"/g },
  { files: "src/sinks/webhook/failure.ts", pattern: /\? "[a-z]+" : ("[a-z]+")/g },
];

const BROKERS = [
  "src/brokers/**/*.ts",
  "src/{sources,sinks}/{kafka,mqtt,rabbitmq}/*.ts",
  "src/sources/take.ts",
  "src/daemon/standings.ts",
];

/** Of connections, and of one message: the latter are a delivery's only. */
const WAITS: readonly Place[] = [
  { files: BROKERS, pattern: /new BrokerError\(\s*("\w+")/g },
  { files: BROKERS, pattern: /\berror: ("\w+")/g },
  { files: BROKERS, pattern: /\bmissing: ("\w+")/g },
  // Tables from a system's code to a word and its message.
  { files: "src/brokers/**/*.ts", pattern: /^ *(?:E[A-Z_]+|[A-Z]+_[A-Z_]+): \[\s*("\w+"),/gm },
  { files: "src/brokers/**/*.ts", pattern: /[?:] \[("\w+"), /g },
];

test("every LeatError is listed with its kind and what to do, and nothing else is", () => {
  const listed = rows("Of Leat itself");
  const answered = rows("What senders and readers are told");
  const codes = written(LEAT_ERRORS);
  assert.ok(codes.length > 40, "the patterns still find them");
  for (const { code, before, file } of codes) {
    const [kinds = "", means, remedy] = listed.get(code) ?? [];
    assert.ok(listed.has(code), `${code} (${file}) isn't in docs/errors.md`);
    const [, kind] = /^"(\w+)"$/.exec(before) ?? [];
    if (kind !== undefined) assert.ok(kinds.split(", ").includes(kind), `${code} is ${kind} in ${file}`);
    assert.ok(means && remedy, `${code}: what it means and what to do`);
  }
  const literals = new Set([...codes, ...written(ANSWERS)].map(({ code }) => code));
  for (const code of [...listed.keys()].filter((one) => !answered.has(one))) {
    const relayed = globSync("src/**/*.ts", { cwd: ROOT }).some((file) =>
      readFileSync(join(ROOT, file), "utf8").includes(`code: "${code}"`),
    );
    assert.ok(literals.has(code) || relayed, `${code} is listed, and nothing raises it`);
  }
});

for (const [section, places, elsewhere] of [
  ["What senders and readers are told", ANSWERS, rows("Of Leat itself")],
  ["What a WebSocket's clients are told", CLIENTS, null],
  ["Why a webhook's proof wasn't taken", FAULTS, null],
  ["Why something of a broker was refused", BROKER_REFUSALS, null],
  ["Why a delivery failed or is dead", DELIVERIES, rows("Why a source or sink waits for its broker")],
  ["Why a source or sink waits for its broker", WAITS, rows("Why a delivery failed or is dead")],
] as const) {
  test(`${section}: the page has every code, and the code has every row`, () => {
    const listed = rows(section);
    const codes = written(places);
    assert.ok(codes.length >= 5, "the patterns still find them");
    for (const { code, file } of codes) {
      assert.ok(listed.has(code) || elsewhere?.has(code), `${code} (${file}) isn't in docs/errors.md`);
    }
    const literals = new Set(codes.map(({ code }) => code));
    for (const code of listed.keys()) assert.ok(literals.has(code), `${code} is listed, and nothing says it`);
  });
}

test("the tables are in the order of their codes", () => {
  for (const section of [
    "Of Leat itself",
    "What senders and readers are told",
    "What a WebSocket's clients are told",
    "Why something of a broker was refused",
    "Why a delivery failed or is dead",
    "Why a source or sink waits for its broker",
  ]) {
    const codes = [...rows(section).keys()];
    assert.deepEqual(codes, codes.toSorted());
  }
});
