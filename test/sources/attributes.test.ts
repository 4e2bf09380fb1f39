import assert from "node:assert/strict";
import { test } from "node:test";
import { unpackHeaders } from "../../src/event.ts";
import { hopsOf, packBrokerHeaders } from "../../src/sources/attributes.ts";

test("hops are read from text or bytes, in any case of the name; what is no small number counts as none", () => {
  assert.equal(hopsOf([]), 0);
  assert.equal(hopsOf([["leat-hops", "3"]]), 3);
  assert.equal(
    hopsOf([
      ["Leat-Hops", Buffer.from("2")],
      ["leat-hops", Buffer.from("7")],
    ]),
    7,
  );
  for (const odd of ["", "-1", "1e3", "99999", "0x2", " 1"]) assert.equal(hopsOf([["leat-hops", odd]]), 0);
});

test("a broker's headers keep their bytes; text is UTF-8, and a name that isn't ASCII is percent-encoded", () => {
  const odd = Buffer.from([0xff, 0x00, 0xfe]);
  const packed = packBrokerHeaders([
    ["plain", "grün"],
    ["größe", odd],
    ["x".repeat(70_000), ""],
    ["\ud800", "lone"],
  ]);
  const headers = unpackHeaders(packed);
  assert.deepEqual(
    headers.map(([name]) => name.slice(0, 20)),
    ["plain", "gr%C3%B6%C3%9Fe", "x".repeat(20), "%EF%BF%BD"],
  );
  assert.equal(Buffer.from(headers[0]?.[1] ?? []).toString(), "grün");
  assert.deepEqual(Buffer.from(headers[1]?.[1] ?? []), odd);
  assert.equal(headers[2]?.[0].length, 65_535);
});
