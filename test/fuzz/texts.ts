/** Texts that parsers stumble over: pieces of the language put together at random, and good texts with slips in them. */
import fc from "fast-check";

/** What ends things, hides things, or is more than one thing to different readers. */
const NASTY = [
  "",
  "\0",
  "\r",
  "\n",
  "\r\n",
  "\t",
  " ",
  "\u0085",
  "\u00a0",
  "\u2028",
  "\ufeff",
  "\ud800",
  "\udfff",
  "é",
  "😀",
  "%",
  "%00",
  "%0d%0a",
  "%ff",
  "..",
  "__proto__",
  "constructor",
  "\\",
  '"',
  "'",
  "`",
  "-1",
  "0",
  "1e309",
  "9007199254740993",
  "NaN",
  `\${X}`,
  "{{ id }}",
];

/** Any text, among them many nasty ones. */
export const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.array(fc.constantFrom(...NASTY), { maxLength: 8 }).map((pieces) => pieces.join("")),
);

/** Long ones too, up to some thousands of characters: of one kind, as those are that make a parser go back and forth. */
export const longText = fc.oneof(
  anyText,
  fc
    .tuple(
      anyText,
      fc.constantFrom("a", "0", " ", "=", ",", ".", "/", "%2", "{", "[", "a.", "-", ";", ":"),
      fc.nat(4000),
      anyText,
    )
    .map(([before, piece, times, after]) => before + piece.repeat(times) + after),
);

/** Pieces in any order. */
export function soup(pieces: readonly string[], maxLength = 24): fc.Arbitrary<string> {
  return fc
    .array(
      fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...pieces) }, { weight: 1, arbitrary: anyText }),
      {
        maxLength,
      },
    )
    .map((chosen) => chosen.join(""));
}

/** One of the texts with some slips: cut out, doubled, replaced, put in. */
export function slips(texts: readonly string[], pieces: readonly string[]): fc.Arbitrary<string> {
  const slip = fc.record({
    at: fc.nat(10_000),
    length: fc.nat(30),
    put: fc.oneof(fc.constantFrom(...pieces), anyText),
    twice: fc.boolean(),
  });
  return fc
    .tuple(fc.constantFrom(...texts), fc.array(slip, { minLength: 0, maxLength: 5 }))
    .map(([text, made]) =>
      made.reduce((sofar, { at, length, put, twice }) => {
        const from = sofar.length === 0 ? 0 : at % sofar.length;
        const cut = sofar.slice(from, from + length);
        return sofar.slice(0, from) + put + (twice ? cut + cut : "") + sofar.slice(from + length);
      }, text),
    );
}
