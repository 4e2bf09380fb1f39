import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  duration,
  endpointPath,
  httpUrl,
  listenAddress,
  name,
  oneOrList,
  parseDuration,
  parseRate,
  parseShare,
  parseSize,
  secret,
  sizeOrShare,
} from "../../src/config/fields.ts";

test("a duration is a number and a unit, in milliseconds", () => {
  const known = { "250ms": 250, "5s": 5000, "1.5m": 90_000, "2h": 7_200_000, "7d": 604_800_000, "0s": 0 };
  for (const [written, ms] of Object.entries(known)) assert.equal(parseDuration(written), ms, written);
  for (const written of [
    "",
    "5",
    "s",
    "5 s",
    "-5s",
    "5S",
    "1e3s",
    "5w",
    "1h30m",
    "٣s",
    `${"9".repeat(30)}d`,
  ]) {
    assert.equal(parseDuration(written), null, written);
  }
});

test("a size is a number and a binary unit, in bytes", () => {
  const known = { "1B": 1, "64KiB": 65_536, "1MiB": 1_048_576, "1.5GiB": 1_610_612_736, "1TiB": 2 ** 40 };
  for (const [written, bytes] of Object.entries(known)) assert.equal(parseSize(written), bytes, written);
  for (const written of ["", "1", "1KB", "1kib", "1 MiB", "-1B", `${"9".repeat(20)}TiB`]) {
    assert.equal(parseSize(written), null, written);
  }
});

test("a rate is a count and a unit of time, a share is up to 100%", () => {
  assert.deepEqual(parseRate("100/s"), { count: 100, perMs: 1000 });
  assert.deepEqual(parseRate("5/h"), { count: 5, perMs: 3_600_000 });
  for (const written of ["0/s", "1.5/s", "1/d", "/s", "1/", `${"9".repeat(20)}/s`])
    assert.equal(parseRate(written), null);
  assert.equal(parseShare("20%"), 0.2);
  assert.equal(parseShare("100%"), 1);
  assert.equal(parseShare("101%"), null);
  assert.deepEqual(sizeOrShare().parse("2GiB"), { bytes: 2 ** 31 });
  assert.deepEqual(sizeOrShare().parse("0%"), { share: 0 });
});

test("what a duration or a size is written as comes back as itself, for any number", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 100_000 }),
      fc.constantFrom("ms", "s", "m", "h", "d"),
      (count, unit) => {
        const ms = parseDuration(`${count}${unit}`);
        assert.ok(ms !== null && Number.isSafeInteger(ms) && ms >= count);
      },
    ),
  );
});

test("no text makes a parser throw, hang or yield what is no whole number", () => {
  const texts = fc.oneof(
    fc.string({ maxLength: 200, unit: "binary" }),
    fc.stringMatching(/^[0-9./%msdhKMGTiB]{0,40}$/),
  );
  fc.assert(
    fc.property(texts, (text) => {
      for (const parse of [parseDuration, parseSize]) {
        const value = parse(text);
        assert.ok(value === null || (Number.isSafeInteger(value) && value >= 0));
      }
      const rate = parseRate(text);
      assert.ok(rate === null || rate.count > 0);
      const share = parseShare(text);
      assert.ok(share === null || (share >= 0 && share <= 1));
      for (const field of [duration(), sizeOrShare(), endpointPath(), httpUrl(), listenAddress(), name()]) {
        field.safeParse(text);
      }
    }),
    { numRuns: 2000 },
  );
});

test("long texts are refused in no time", () => {
  const began = performance.now();
  for (const text of [
    `${"/a".repeat(200_000)}//`,
    "1".repeat(500_000),
    "9.".repeat(200_000),
    "a:".repeat(200_000),
  ]) {
    for (const field of [duration(), sizeOrShare(), endpointPath(), httpUrl(), listenAddress()])
      field.safeParse(text);
  }
  assert.ok(performance.now() - began < 2000);
});

test("one of something and a list of it are a list", () => {
  assert.deepEqual(oneOrList(secret()).parse("a"), ["a"]);
  assert.deepEqual(oneOrList(secret()).parse(["a", "b"]), ["a", "b"]);
  assert.equal(oneOrList(secret()).safeParse([]).success, false);
});

test("the path of an endpoint begins with a slash and has no trailing one", () => {
  for (const path of ["/a", "/webhooks/stripe", "/a.b-c_d~%20"])
    assert.ok(endpointPath().safeParse(path).success, path);
  for (const path of ["", "/", "a", "/a/", "//a", "/a//b", "/a?b", "/a#b", "/a b", "/{{ x }}"]) {
    assert.ok(!endpointPath().safeParse(path).success, path);
  }
});

test("event data never picks the host of a URL", () => {
  for (const url of [
    "https://a.example/",
    "http://127.0.0.1:80/x/{{ key }}?q={{ body.q }}",
    "https://[::1]:8443/",
  ]) {
    assert.ok(httpUrl().safeParse(url).success, url);
  }
  const bad = [
    "https://{{ h }}/",
    "https://a.{{ h }}.example/",
    "{{ url }}",
    "http{{ s }}://a/",
    "ftp://a/",
    "a.example",
    "",
  ];
  for (const url of bad) assert.ok(!httpUrl().safeParse(url).success, url);
});

test("an address has a host and a port", () => {
  for (const address of ["127.0.0.1:8080", "[::1]:0", "localhost:65535", "leat.internal:80"]) {
    assert.ok(listenAddress().safeParse(address).success, address);
  }
  for (const address of ["8080", ":8080", "::1:8080", "a:65536", "a:b", "http://a:1", "a:1 "]) {
    assert.ok(!listenAddress().safeParse(address).success, address);
  }
});
