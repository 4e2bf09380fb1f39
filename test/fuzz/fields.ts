/** Durations, sizes, rates, shares, the fields of a schema, and `${…}` in a text. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  duration,
  endpointPath,
  httpUrl,
  listenAddress,
  parseDuration,
  parseRate,
  parseShare,
  parseSize,
  size,
  sizeOrShare,
} from "../../src/config/fields.ts";
import { coerce, pieces } from "../../src/config/fill.ts";
import { parseCidr } from "../../src/sinks/webhook/addresses.ts";
import { property } from "./property.ts";
import { anyText, longText, soup } from "./texts.ts";

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const UNITS_BYTES = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const OPEN = `\${`;
const quantities = soup(
  ["1", "0", "9", ".", "5", "ms", "s", "m", "h", "d", "B", "KiB", "MiB", "TiB", "%", "/", "-", "+", "e"],
  6,
);
const schemas = [duration(), size(), sizeOrShare(), listenAddress(), httpUrl(), endpointPath()];

export const fields = [
  property(
    "a quantity is none, or a safe number that isn't negative",
    fc.oneof(quantities, longText),
    (written, within) => {
      for (const parse of [parseDuration, parseSize]) {
        const value = within(() => parse(written));
        assert.ok(value === null || (Number.isSafeInteger(value) && value >= 0));
      }
      const share = within(() => parseShare(written));
      assert.ok(share === null || (share >= 0 && share <= 1));
      const rate = within(() => parseRate(written));
      assert.ok(rate === null || (Number.isSafeInteger(rate.count) && rate.count > 0 && rate.perMs > 0));
    },
  ),

  property(
    "a quantity that is written is read as it was meant",
    fc.record({
      count: fc.nat(1_000_000),
      time: fc.constantFrom(...(Object.keys(UNITS_MS) as (keyof typeof UNITS_MS)[])),
      bytes: fc.constantFrom(...(Object.keys(UNITS_BYTES) as (keyof typeof UNITS_BYTES)[])),
    }),
    ({ count, time, bytes }) => {
      assert.equal(parseDuration(`${count}${time}`), count * UNITS_MS[time]);
      const many = count * UNITS_BYTES[bytes];
      assert.equal(parseSize(`${count}${bytes}`), Number.isSafeInteger(many) ? many : null);
      if (count <= 100) assert.equal(parseShare(`${count}%`), count / 100);
    },
  ),

  property(
    "a field takes any value or says that it doesn't",
    fc.oneof(quantities, longText, fc.anything()),
    (value, within) => {
      for (const schema of schemas) within(() => schema.safeParse(value));
    },
  ),

  property("a text whose ${ is written $${ is filled in as itself", longText, (text, within) => {
    const parts = within(() => pieces(text.replaceAll(OPEN, () => `$${OPEN}`)));
    assert.ok(parts.every((part) => "text" in part));
    assert.equal(parts.map((part) => ("text" in part ? part.text : "")).join(""), text);
  }),

  property(
    "what is to be filled in is a text, a variable, a file, or said to be malformed",
    soup(["${", "}", "$${", "$", "A", "file:", ":-", "/x", " ", "{"]),
    (text, within) => {
      const parts = within(() => pieces(text));
      for (const part of parts) {
        assert.equal(Object.keys(part).filter((key) => key !== "fallback").length, 1);
        if ("variable" in part) assert.match(part.variable, /^[A-Za-z_][A-Za-z0-9_]*$/);
      }
      coerce(text, []);
    },
  ),

  property(
    "a network is one or none",
    fc.oneof(fc.ipV4(), fc.ipV6(), soup(["::", "1", "/", "10.", "fd00", "%", "."], 8), anyText),
    (written, within) => {
      const network = within(() => parseCidr(written));
      if (network !== null) assert.ok(network.bits <= (network.family === "ipv4" ? 32 : 128));
    },
  ),
];
