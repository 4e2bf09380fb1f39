import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { streamOutput, WAITING } from "../src/log-output.ts";
import { waitFor } from "./wait-for.ts";

/** A reader that takes nothing until it is told to. */
function stalledReader() {
  const taken: (() => void)[] = [];
  const out = new Writable({
    decodeStrings: false,
    write: (_chunk, _encoding, callback) => taken.push(callback),
  });
  return { out, taken };
}

test("what a reader doesn't take is bounded, and told once it flows again", async () => {
  const { out, taken } = stalledReader();
  const output = streamOutput(out, (line) => line);
  const told: number[] = [];
  output.onFlowing((lost) => told.push(lost));
  const line = `${"x".repeat(65_535)}\n`;
  const more = 100;
  for (let n = 0; n < WAITING / line.length + more; n++) output.write(line);
  assert.equal(out.writableLength, WAITING);
  await waitFor("all to be taken", () => {
    for (const take of taken.splice(0)) take();
    return told.length > 0;
  });
  assert.deepEqual(told, [more]);
});

test("the last lines are waited for, but not for long", async () => {
  const { out, taken } = stalledReader();
  const output = streamOutput(out, (line) => line);
  await output.flushed(60_000);
  output.write("last words\n");
  await output.flushed(10);
  assert.equal(out.writableLength > 0, true);
  const written = output.flushed(60_000);
  const taking = setInterval(() => {
    for (const take of taken.splice(0)) take();
  }, 1);
  await written;
  clearInterval(taking);
  assert.equal(out.writableLength, 0);
});
