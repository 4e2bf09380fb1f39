/** Expressions and events that mean harm, for whoever wants to see that they do none. */
import type { EvaluationFault } from "../../src/routing/evaluation-error.ts";

const A = (count: number) => "a".repeat(count);
const fold = (from: string, step: string) =>
  `($f := function($x, $n) { $n = 0 ? $x : $f(${step}, $n - 1) }; ${from})`;

/** The body of an event that they are evaluated over. */
export const hostileBody = {
  width: 3e8,
  text: A(60_000),
  evil: `${A(50_000)}!`,
  items: Array.from({ length: 50 }, (_, n) => n),
};

/** `fault`: what kind of error it has to be; `fine` may also succeed. */
export const hostileCases: [
  what: string,
  source: string,
  fault: EvaluationFault | "fine",
  message: RegExp,
][] = [
  ["a width of 3e8", '$pad("x", 3e8)', "limit", /a text would be longer than/],
  ["a width to the left", '$pad("x", -3e8, "ab")', "limit", /a text would be longer than/],
  ["a width from the event", '$pad("x", body.width)', "limit", /a text would be longer than/],
  ["a width in a partial application", '($p := $pad("x", ?); $p(3e8))', "limit", /a text would be longer/],
  ["a huge picture", '$formatNumber(1, $pad("#", 100000, "#"))', "expression", /a picture may have 256/],
  ["a picture of zeros", '$formatNumber(1, $pad("0", 100000, "0"))', "expression", /a picture may have 256/],
  ["an empty separator", '$formatNumber(1, "0", {"grouping-separator": ""})', "expression", /one character/],
  [
    "an empty zero",
    '$formatNumber(0, "0", {"zero-digit": "", "decimal-separator": ""})',
    "expression",
    /one char/,
  ],
  [
    "a huge picture of an integer",
    '$formatInteger(1, $pad("0", 100000, "0"))',
    "expression",
    /a picture may/,
  ],
  ["letters of infinity", '$formatInteger(1e308 * 10, "a")', "expression", /a finite number/],
  ["Roman numerals of a billion", '$formatInteger(1e9, "I")', "expression", /up to 1000000/],
  ["a date's width", '$fromMillis(0, "[Y,1000000000]")', "expression", /one or two digits/],
  ["a date's width in hexadecimal", '$fromMillis(0, "[Y,0x7fffffff]")', "expression", /one or two digits/],
  ["a date's width in $now", '$now("[Y,99999999]")', "expression", /one or two digits/],
  [
    "a date's picture that backtracks",
    `$toMillis("${A(120)}!", "[Ya]a[Ma]a[Da]a[Ha]a[ma]a[sa]")`,
    "expression",
    /must be followed by what can't be part of it/,
  ],
  ["a range", "[1..1e9]", "limit", /1e7|sequence/],
  ["a range below JSONata's own bound", "[1..9999999]", "limit", /sequence/],
  ["ranges in ranges", "[1..5000].[1..5000].[1..5000]", "timeout", /200 ms|didn't end/],
  ["doubled text", fold('$f("ab", 60)', "$x & $x"), "limit", /a text would be longer than/],
  ["doubled lists", fold("$f(1, 60)", "[[$x], [$x]]"), "limit", /builds more than \d+ values/],
  ["doubled objects", fold("$f(1, 60)", '{"a": $x, "b": $x}'), "limit", /builds more than \d+ values/],
  [
    "doubled lists as text",
    fold("$string($f(1, 60))", "[[$x], [$x]]"),
    "limit",
    /builds more than \d+ values/,
  ],
  ["doubled lists by $zip", fold("$f([1], 60)", "$zip([$x], [$x])"), "limit", /builds more than \d+ values/],
  ["lists appended to themselves", fold("$f([1, 2], 60)", "$append($x, $x)"), "limit", /sequence|items/],
  ["a join with a long separator", "$join([1..5000].('x'), body.text)", "limit", /a text would be longer/],
  ["a replacement that grows", '$replace(body.text, "a", body.text)', "limit", /a text would be longer/],
  [
    "a replacement by groups",
    '$replace(body.text, /a/, $pad("$0", 20000, "$0"))',
    "limit",
    /a text would be/,
  ],
  ["a split to single characters", '$split(body.text & body.text, "")', "limit", /more than 100000 items/],
  ["infinite recursion in the tail", "($f := function($x) { $f($x) }; $f(1))", "timeout", /200 ms/],
  ["infinite recursion", "($f := function($x) { 1 + $f($x) }; $f(1))", "expression", /recursi/],
  ["recursion that branches", "($f := function($n) { $f($n) + $f($n) }; $f(1))", "expression", /recursi/],
  [
    "work beside what fails",
    '{"a": $error("first"), "b": ($f := function($x) { $f($x) }; $f(1))}',
    "expression",
    /first/,
  ],
  ["native functions in a loop", '$map([1..9999], $pad(?, 100000, "xy"))', "limit", /./],
  ["memory in a loop", "$map([1..100000], function($i) { [1..100000] })", "timeout", /./],
  ["a sort of what can't be sorted fast", "[1..90000]^(>$)", "timeout", /200 ms/],
  ["a regular expression that would double", "$match(body.evil, /^(a+)+$/)", "fine", /./],
  ["one with groups in groups", "$match(body.evil, /((a{0,20}){0,20})*$/)", "fine", /./],
  ["one in $replace", '$replace(body.evil, /(a|aa)+$/, "x")', "fine", /./],
  ["one in $split", "$split(body.evil, /(a+)+$/)", "fine", /./],
  ["one in $contains", "$contains(body.evil, /(a*)*$/)", "fine", /./],
  ["an empty match", "$match(body.text, /a*?/)", "expression", /zero length/],
];
