import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readFieldTable } from "../../../src/brokers/rabbitmq/field-table.ts";
import { field, longText, nested, table, u32 } from "./frames.ts";

/** The fields of a table, without its length. */
const fields = (...all: Buffer[]) => Buffer.concat(all);
const bigEndian = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

test("each type is read, 64 bits exactly, and text that isn't UTF-8 as bytes", () => {
  const bytes = fields(
    field("text", "S", longText(Buffer.from("ä"))),
    field("no text", "S", longText(Buffer.from([0xff, 0xfe]))),
    field("bytes", "x", longText(Buffer.from([1]))),
    field("yes", "t", Buffer.from([1])),
    field("byte", "b", Buffer.from([0xff])),
    field("octet", "B", Buffer.from([0xff])),
    field("short", "s", Buffer.from([0xff, 0xfe])),
    field("ushort", "u", Buffer.from([0xff, 0xfe])),
    field("int", "I", u32(0xfffffffe)),
    field("uint", "i", u32(0xfffffffe)),
    field("long", "l", bigEndian(-(2n ** 60n) - 1n)),
    field("small long", "l", bigEndian(-5n)),
    field("ulong", "L", Buffer.alloc(8, 0xff)),
    field("float", "f", Buffer.from([0x3f, 0xc0, 0, 0])),
    field("double", "d", Buffer.from([0x3f, 0xf8, 0, 0, 0, 0, 0, 0])),
    field("decimal", "D", Buffer.concat([Buffer.from([2]), u32(1234)])),
    field("time", "T", bigEndian(7n)),
    field("nothing", "V", Buffer.alloc(0)),
    field("list", "A", longText(Buffer.from("t\x01V", "latin1"))),
    field("table", "F", table(field("in", "t", Buffer.from([0])))),
  );
  const { fields: read, rest } = readFieldTable(bytes);
  assert.equal(rest.byteLength, 0);
  assert.deepEqual(Object.fromEntries(read), {
    text: "ä",
    "no text": Buffer.from([0xff, 0xfe]),
    bytes: Buffer.from([1]),
    yes: true,
    byte: -1,
    octet: 255,
    short: -2,
    ushort: 65_534,
    int: -2,
    uint: 4_294_967_294,
    long: -(2n ** 60n) - 1n,
    "small long": -5,
    ulong: 2n ** 64n - 1n,
    float: 1.5,
    double: 1.5,
    decimal: { "!": "decimal", value: { places: 2, digits: 1234 } },
    time: { "!": "timestamp", value: 7 },
    nothing: null,
    list: [true, null],
    table: { in: false },
  });
});

test("what can't be read is handed out as it is, with all that was before it", () => {
  const good = field("a", "t", Buffer.from([1]));
  const bad = field("b", "Z", Buffer.from([1, 2, 3]));
  assert.deepEqual(readFieldTable(fields(good, bad)), { fields: [["a", true]], rest: bad });
  const short = field("b", "S", u32(200));
  assert.deepEqual(readFieldTable(fields(good, short)), { fields: [["a", true]], rest: short });
  const inner = table(bad);
  assert.deepEqual(readFieldTable(field("t", "F", inner)).fields, [["t", inner.subarray(4)]]);
});

test("tables within tables beyond 32 stay bytes, however deep they are", () => {
  const { fields: read, rest } = readFieldTable(nested(20_000).subarray(4));
  assert.equal(rest.byteLength, 0);
  let depth = 0;
  let at: unknown = read[0]?.[1];
  for (; !Buffer.isBuffer(at); depth++) at = (at as Record<string, unknown>)[""];
  assert.equal(depth, 32);
});

test("no bytes make it fail", () => {
  const letters = fc.constantFrom(..."StbBsuIilLfdDTVAFxZ");
  const likely = fc.tuple(letters, fc.uint8Array({ maxLength: 12 })).map(([type, value]) => {
    return field("n", type, Buffer.from(value));
  });
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.array(likely).map((all) => fields(...all)),
      ),
      (bytes) => {
        readFieldTable(Buffer.from(bytes));
      },
    ),
    { numRuns: 10_000 },
  );
});
