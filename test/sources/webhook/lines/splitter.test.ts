import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyBudget } from "../../../../src/http/body.ts";
import { Crowded, LineSplitter } from "../../../../src/sources/webhook/lines/splitter.ts";

/** The lines of these pieces as text; one that was cut with its length. */
function split(pieces: readonly (string | Uint8Array)[], max = 100): string[] {
  const budget = new BodyBudget(2000);
  const splitter = new LineSplitter(max, budget);
  const lines = pieces.flatMap((piece) => [...splitter.push(Buffer.from(piece))]);
  const last = splitter.end();
  assert.ok(budget.take(2000), "all memory is given back");
  return [...lines, ...(last === null ? [] : [last])].map(
    ({ bytes, cutFrom }) => Buffer.from(bytes).toString() + (cutFrom === null ? "" : ` (${cutFrom})`),
  );
}

test("a line ends with LF or CR LF, the last one perhaps with nothing", () => {
  assert.deepEqual(split(["a\nb\r\nc"]), ["a", "b", "c"]);
  assert.deepEqual(split(["a\n"]), ["a"]);
  assert.deepEqual(split(["a\n\n\r\nb\n"]), ["a", "", "", "b"]);
  assert.deepEqual(split([]), []);
});

test("a CR alone ends nothing, and only the one before the LF belongs to the end", () => {
  assert.deepEqual(split(["10 %\r20 %\r\n"]), ["10 %\r20 %"]);
  assert.deepEqual(split(["a\r\r\n", "\r"]), ["a\r", ""]);
});

test("it is the same wherever the pieces are cut, also within a character or between CR and LF", () => {
  const text = Buffer.from("größe\r\n\r\n日本\n\u0000\uFEFFx\r\rend");
  const whole = split([text]);
  assert.deepEqual(whole, ["größe", "", "日本", "\u0000\uFEFFx\r\rend"]);
  for (let at = 0; at <= text.length; at++) {
    assert.deepEqual(split([text.subarray(0, at), text.subarray(at)]), whole);
  }
  assert.deepEqual(split([...text].map((byte) => Uint8Array.of(byte))), whole);
});

test("a line over the bound is cut and told in full length, and the next one is whole again", () => {
  const long = "x".repeat(3000);
  assert.deepEqual(split([`${"y".repeat(10)}\n${long}\nok\n`], 10), [
    "y".repeat(10),
    `${"x".repeat(1024)} (3000)`,
    "ok",
  ]);
  const pieces = long.match(/.{7}|.+$/g) ?? [];
  assert.deepEqual(split([...pieces, "\nok"], 10), [`${"x".repeat(1024)} (3000)`, "ok"]);
  assert.deepEqual(split(["x".repeat(10), "\r", "\n", "x".repeat(11), "\r", "\n"], 10), [
    "x".repeat(10),
    "xxxxxxxxxxx (11)",
  ]);
});

test("lines that aren't whole share a memory, and who finds it full is told", () => {
  const budget = new BodyBudget(1000);
  const [one, two] = [new LineSplitter(10_000, budget), new LineSplitter(10_000, budget)];
  assert.deepEqual([...one.push(Buffer.alloc(900, "x"))], []);
  assert.throws(() => [...two.push(Buffer.alloc(900, "x"))], Crowded);
  two.close();
  one.close();
  assert.deepEqual([...two.push(Buffer.alloc(900, "x"))], []);
  two.close();
  assert.ok(budget.take(1000));
});
