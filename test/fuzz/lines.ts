/** A stream of lines: cut into lines the same wherever its pieces are cut, within bounds; and what its headers say. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { BodyBudget } from "../../src/http/body.ts";
import { failureOf, nameStream } from "../../src/sources/webhook/lines/request.ts";
import { type Line, LineSplitter } from "../../src/sources/webhook/lines/splitter.ts";
import { property } from "./property.ts";
import { longText, soup } from "./texts.ts";

const BUDGET = 1024 * 1024;

const body = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc
    .array(fc.constantFrom(10, 13, 0, 0xe6, 0x97, 0xa5, 120), { maxLength: 400 })
    .map((it) => Uint8Array.from(it)),
  longText.map((text) => new Uint8Array(Buffer.from(text))),
  fc.nat(20_000).map((length) => new Uint8Array(length).fill(120)),
);
const cuts = fc.array(fc.nat(20_000), { maxLength: 30 });
const maxLine = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 10_000 }));

function split(pieces: readonly Uint8Array[], max: number): Line[] {
  const budget = new BodyBudget(BUDGET);
  const splitter = new LineSplitter(max, budget);
  const lines = pieces.flatMap((piece) => [...splitter.push(piece)]);
  const last = splitter.end();
  assert.ok(budget.take(BUDGET), "no memory is kept");
  return last === null ? lines : [...lines, last];
}

/** What a line is, told another way: all at once. */
function expected(bytes: Uint8Array): string[] {
  const lines = Buffer.from(bytes).toString("latin1").split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => line.replace(/\r$/, ""));
}

const header = fc.oneof(
  fc.constantFrom("leat-request-id", "Idempotency-Key", "leat-line", "Leat-Failed", "x-request-id"),
  longText,
);
const value = fc.oneof(
  longText,
  soup(["1", "0", '"', "-", " ", "job", "\r", "é", "\u0000"], 60),
  fc.nat().map(String),
);
const headers = fc.array(fc.tuple(header, value), { maxLength: 8 }).map((pairs) => pairs.flat());

export const lines = [
  property(
    "a stream's lines are the same wherever its pieces are cut",
    fc.tuple(body, cuts, maxLine),
    (input, within) => {
      const [bytes, at, max] = input;
      const edges = [
        0,
        ...at.map((edge) => Math.min(edge, bytes.length)).toSorted((a, b) => a - b),
        bytes.length,
      ];
      const pieces = edges.slice(1).map((edge, n) => bytes.subarray(edges[n], edge));
      const found = within(() => split(pieces, max));
      const wanted = expected(bytes);
      assert.equal(found.length, wanted.length);
      found.forEach(({ bytes: line, cutFrom }, n) => {
        const text = wanted[n] as string;
        const got = Buffer.from(line).toString("latin1");
        if (text.length <= max) assert.deepEqual([got, cutFrom], [text, null]);
        else {
          assert.ok(text.startsWith(got) && got.length === Math.min(1024, text.length));
          assert.equal(cutFrom, text.length);
        }
      });
    },
  ),

  property("a stream has an id that fits and a first line, or is refused", headers, (raw, within) => {
    const named = within(() => nameStream(raw));
    if ("refusal" in named) {
      assert.equal(named.refusal.status, 400);
      return;
    }
    assert.match(named.name.id, /^[\x21-\x7e]{1,200}$/);
    assert.ok(Number.isSafeInteger(named.name.firstLine) && named.name.firstLine >= 1);
    const failed = within(() => failureOf(raw, []));
    assert.ok(failed === null || (failed.length > 0 && failed.length <= 1000));
  }),
];
