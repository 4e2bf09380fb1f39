import assert from "node:assert/strict";
import { test } from "node:test";
import { countHeaders, packHeaders, unpackHeaders } from "../src/event.ts";

const TEXTS = [
  "",
  "application/json",
  "\u007f\u0000",
  "grün",
  "\u00ff\u0100",
  "猫".repeat(20),
  "a\ud800b",
  "😀",
  ...[63, 64, 65, 300, 70_000].flatMap((length) => ["x".repeat(length), `${"x".repeat(length - 1)}é`]),
];

for (const encoding of ["latin1", "utf8"] as const) {
  test(`headers are packed as ${encoding} has them, whatever their text and length`, () => {
    const given = TEXTS.map((text) => [text.replace(/[^\0-\xff]/g, "-").slice(0, 0xffff), text] as const);
    const packed = packHeaders([...given, ["bytes", Uint8Array.of(0, 255)]], encoding);
    const unpacked = unpackHeaders(packed);
    assert.equal(countHeaders(packed), TEXTS.length + 1);
    assert.deepEqual(
      unpacked.map(([name, value]) => [name, Buffer.from(value).toString("hex")]),
      [
        ...given.map(([name, text]) => [name, Buffer.from(text, encoding).toString("hex")]),
        ["bytes", "00ff"],
      ],
    );
  });
}
