import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const SCRIPT = `
import module from "node:module";
await import("./src/daemon.ts");
const { sourceTypes, sinkTypes } = await import("./src/components.ts");
for (const { type, schema } of [...sourceTypes, ...sinkTypes]) {
  const fields = { brokers: "127.0.0.1:9092", topics: ["t"], topic: "t", url: type + "://127.0.0.1", queue: "q" };
  schema.safeParse(fields);
}
const loaded = Object.keys(module._cache).map((path) => path.split("/node_modules/").at(-1).split("/")[0]);
console.log(JSON.stringify([...new Set(loaded)]));
`;

test("the brokers' client libraries are loaded for nobody who names no broker, nor while a configuration is read", async () => {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", SCRIPT], {
    cwd: new URL("../..", import.meta.url).pathname,
    timeout: 60_000,
  });
  const loaded = JSON.parse(stdout) as string[];
  assert.ok(loaded.length > 0, "others are seen to be loaded");
  for (const library of ["kafkajs", "kafkajs-snappy", "mqtt", "amqplib"]) {
    assert.ok(!loaded.includes(library), `${library} was loaded`);
  }
});
