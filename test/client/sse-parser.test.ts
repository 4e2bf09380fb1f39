/** The cases are those of the standard's section 9.2.6 (and of what browsers are known to be tested with). */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Block, SseParser } from "../../src/client/sse-parser.ts";
import { SseParser as ReferenceParser } from "../sinks/sse-parser.ts";

function read(...chunks: readonly string[]): { blocks: Block[]; retry: number | undefined } {
  const blocks: Block[] = [];
  const parser = new SseParser((block) => blocks.push(block));
  for (const chunk of chunks) parser.push(chunk);
  return { blocks, retry: parser.retry };
}

const data = (...chunks: readonly string[]) => read(...chunks).blocks.map((block) => block.data);

test("lines end in LF, CR or CRLF, wherever the stream is cut", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const text = `data: a${end}data: b${end}${end}data: c${end}${end}`;
    // A last CR could still become CRLF: the next byte tells.
    assert.deepEqual(data(text, ":"), ["a\nb", "c"], JSON.stringify(end));
    for (let at = 0; at <= text.length; at++) {
      assert.deepEqual(
        data(text.slice(0, at), text.slice(at), ":"),
        ["a\nb", "c"],
        `${JSON.stringify(end)} at ${at}`,
      );
    }
  }
});

test("one space after the colon is taken off, and a field without a colon is empty", () => {
  assert.deepEqual(data("data:a\n\n", "data:  b\n\n", "data\n\n", "data\ndata\n\n", "data:\n\n"), [
    "a",
    " b",
    "",
    "\n",
    "",
  ]);
});

test("an event that no blank line ends is none, and comments and unknown fields are nothing", () => {
  assert.deepEqual(data(": hello\nfoo: bar\n data: x\nDATA: y\n\ndata: z\n"), []);
});

test("an id alone moves the place, one with NUL is ignored, and each block has its own", () => {
  assert.deepEqual(read("id: 5\n\nid: 6\ndata: a\n\ndata: b\n\nid: 7\0\ndata: c\n\nid\ndata: d\n\n").blocks, [
    { event: "", data: undefined, id: "5" },
    { event: "", data: "a", id: "6" },
    { event: "", data: "b", id: undefined },
    { event: "", data: "c", id: undefined },
    { event: "", data: "d", id: "" },
  ]);
});

test("retry is digits or nothing", () => {
  assert.equal(read("retry: 1500\n").retry, 1500);
  assert.equal(read("retry: 1000x\n", "retry: -1\n", "retry:\n").retry, undefined);
});

test("a line that comes in many pieces is read in time that grows with it alone", () => {
  const line = "x".repeat(16 * 1024);
  const started = performance.now();
  assert.equal(
    data(...Array.from({ length: 256 }, (_, n) => (n === 0 ? `data:${line}` : line)), "\n\n")[0]?.length,
    2 ** 22,
  );
  assert.ok(performance.now() - started < 5000);
});

test("whatever comes, in whatever pieces, it reads what the other parser reads", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "\r",
      "\n",
      "\r\n",
      ":",
      " ",
      "data",
      "data: ",
      "id: ",
      "event: ",
      "retry: 7",
      "\0",
      "\ufeff",
      "ä",
      "7",
    ),
    fc.string({ maxLength: 3 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const bytes = new TextEncoder().encode(`${pieces.join("")}\n\n:`);
      const reference = new ReferenceParser();
      reference.push(bytes);
      const text = new TextDecoder().decode(bytes);
      let lastId = "";
      const events: unknown[] = [];
      const parser = new SseParser(({ event, data, id }) => {
        lastId = id ?? lastId;
        if (data !== undefined) events.push({ type: event || "message", data, lastEventId: lastId });
      });
      for (const char of text) parser.push(char);
      assert.deepEqual(events, reference.events);
      assert.equal(parser.retry ?? null, reference.retry);
    }),
    { numRuns: 500 },
  );
});
