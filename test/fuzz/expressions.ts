/** Expressions, templates, `match`, paths and patterns: what a configuration says, over what an event holds. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { LeatError } from "../../src/errors.ts";
import { compilePattern, covers, escapePattern, isPattern, literalName } from "../../src/pattern.ts";
import { EvaluationError } from "../../src/routing/evaluation-error.ts";
import { compileExpression } from "../../src/routing/expression.ts";
import { compileMatch } from "../../src/routing/match.ts";
import { parsePath, readPath } from "../../src/routing/path.ts";
import { compileTemplate, compileTransform, RenderError } from "../../src/routing/template.ts";
import { eventView, VIEW_FIELDS } from "../../src/routing/view.ts";
import { event } from "../routing/events.ts";
import { orLeatError, property } from "./property.ts";
import { anyText, longText, slips, soup } from "./texts.ts";

const words = (text: string) => text.trim().split(/\s+/);

const JSONATA = [
  " ",
  ...words(`body body.n body.items body.text headers type cause . ( ) [ ] { } + - * / % & = != < <= > >= in and or ? :
    := ; , .. ** ~> | ^ @ # $ $$ $x $i "a" 'b' \`q\` 1 0 -1 0.5 1e308 null true false /a+/ /(a|b)*/i /* */ < > __proto__
    constructor function($x) {$x} λ($x){$x} $sum( $map( $filter( $reduce( $pad( $formatNumber( $formatInteger( $fromMillis(
    $toMillis( $match( $replace( $split( $join( $string( $number( $now() $millis() $eval( $lookup( $spread( $merge( $sort(
    $each( $sift( $zip( $base64decode( $encodeUrl( $decodeUrl( $substring( $length( $error( $assert( $boolean( $keys(
    $exists( $append( $reverse( $shuffle( $distinct( $single( $type( $clone( $random()`),
];

const GOOD = [
  "body.n > 3 and type = 'push'",
  "$sum(body.items.price) > 100 ? 'large' : 'small'",
  "{'id': body.id, 'all': $map(body.items, function($i) {$i.price * 2})}",
  "body.items[price > 3]^(>price).name[0]",
  "$replace(body.text, /(\\w+) (\\w+)/, '$2 $1')",
  "($f := function($n) { $n < 2 ? 1 : $n * $f($n - 1) }; $f(5))",
  "headers.x-foo",
  "$formatNumber(body.n, '#,##0.00') & ' ' & $pad(type, -20, '#')",
  "$fromMillis($millis(), '[Y0001]-[M01]-[D01]')",
  "body.**.price ~> $sum()",
];

const ANY_BODY = fc.oneof(
  fc.constant({
    n: 4,
    text: "ab cd",
    items: [
      { price: 5, name: "x" },
      { price: 2, name: "y" },
    ],
  }),
  fc.jsonValue({ maxDepth: 3 }),
);

const expression = fc.oneof(soup(JSONATA, 16), slips(GOOD, JSONATA));
const template = fc.oneof(
  soup(["{{", "}}", "{", "}", '"', "'", "`", " body.n ", " type ", "text", "\\", ...JSONATA.slice(0, 40)]),
  longText,
);

const PATHS = words(
  "type subject key id seq time source headers headers_base64 body cause . .. a b x-foo \\. \\ __proto__ prototype 0",
);
const OPERATORS = words("not gt gte lt lte exists prefix suffix and");
const operand = fc.oneof(
  anyText,
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  soup(["*", "**", "a", ".", "/", "\\"], 6),
);
const wanted = fc.oneof(
  operand,
  fc.array(operand, { maxLength: 3 }),
  fc.dictionary(fc.oneof(fc.constantFrom(...OPERATORS), anyText), fc.oneof(operand, fc.array(operand)), {
    maxKeys: 3,
  }),
  fc.anything(),
);

const PATTERN = ["*", "**", "a", "b", ".", "/", "\\", "\\*", "user", "é"];

export const expressions = [
  property(
    "an expression is compiled or refused, evaluated or in error, and never keeps the thread",
    fc.tuple(expression, ANY_BODY),
    async ([source, body], within) => {
      const compiled = within(() => orLeatError(() => compileExpression(source)));
      if (compiled instanceof LeatError) {
        assert.equal(compiled.kind, "configuration");
        return;
      }
      const scope = eventView(event({ body, type: "push" }), "auto");
      within(() => compiled.misses(scope));
      // Its other turns are bounded by the budget of an evaluation (test/routing/hostile.test.ts measures all of them).
      await settle(() => within(() => compiled.evaluate(scope)));
    },
  ),

  property(
    "a template is compiled or refused, and renders or is in error",
    fc.tuple(template, ANY_BODY),
    async ([source, body], within) => {
      const compiled = within(() => orLeatError(() => compileTemplate(source)));
      const transform = within(() =>
        orLeatError(() => compileTransform({ kind: "map", map: { a: [source], [source]: 1 } })),
      );
      if (compiled instanceof LeatError || transform instanceof LeatError) return;
      const scope = eventView(event({ body }), "auto");
      await settle(() => compiled.render(scope));
      await settle(() => compiled.renderScalar(scope, encodeURIComponent));
      await settle(() => transform(scope));
    },
  ),

  property("a text without {{ is a template of itself", longText, (text) => {
    if (text.includes("{{")) return;
    assert.equal(compileTemplate(text).render({}), text);
  }),

  property("a value that a template puts in stands there as it is", anyText, async (text) => {
    const scope = eventView(event({ body: { text } }), "json");
    const meant = text.toWellFormed() === text ? text : undefined;
    const rendered = await compileTemplate("<{{ body.text }}>").render(scope);
    if (meant !== undefined) assert.equal(rendered, `<${meant}>`);
  }),

  property(
    "match is compiled or refused, and then says yes or no",
    fc.tuple(
      fc.dictionary(soup(PATHS, 6), wanted, { maxKeys: 3 }),
      ANY_BODY,
      fc.uint8Array({ maxLength: 30 }),
    ),
    ([match, body, bytes], within) => {
      const matcher = within(() => orLeatError(() => compileMatch(match)));
      if (matcher instanceof LeatError) return;
      for (const one of [event({ body }), event({ bytes })]) {
        const view = eventView(one, "auto");
        const matches: unknown = within(() => matcher(view));
        assert.equal(typeof matches, "boolean");
      }
    },
  ),

  property(
    "a path is read or refused, and read anew from its segments it is the same",
    fc.oneof(soup(PATHS, 8), longText),
    (written, within) => {
      const path = within(() => orLeatError(() => parsePath(written)));
      if (path instanceof LeatError) return;
      assert.ok(VIEW_FIELDS.includes(path[0]));
      const escaped = path.map((segment) => segment.replace(/[\\.]/g, "\\$&")).join(".");
      assert.deepEqual(parsePath(escaped), path);
      within(() => readPath(eventView(event({ body: { a: 1 } }), "auto"), path));
    },
  ),

  property("a pattern made of a text matches it alone", fc.tuple(anyText, anyText), ([text, other]) => {
    const pattern = escapePattern(text);
    const matches = compilePattern(pattern);
    assert.ok(matches(text));
    assert.equal(matches(other), text === other);
    assert.equal(literalName(pattern), text);
    assert.ok(!isPattern(pattern));
  }),

  property(
    "a pattern matches what a regular expression made of it does",
    fc.tuple(soup(PATTERN, 8), soup(["a", "b", ".", "/", "user", "\\", "*", "é"], 8)),
    ([pattern, text], within) => {
      assert.equal(
        within(() => compilePattern(pattern)(text)),
        asRegularExpression(pattern).test(text),
      );
    },
  ),

  property(
    "what covers a pattern matches all that the pattern does",
    fc.tuple(soup(PATTERN, 6), soup(PATTERN, 6), soup(["a", "b", ".", "/", "user"], 6)),
    ([entry, asked, text], within) => {
      if (!within(() => covers(entry, asked))) return;
      if (compilePattern(asked)(text)) assert.ok(compilePattern(entry)(text));
    },
  ),

  property(
    "a hostile pattern costs no more than its length times the text's",
    fc.tuple(longText, longText),
    ([pattern, text], within) => {
      within(() => compilePattern(pattern.slice(0, 512))(text.slice(0, 256)));
      within(() => covers(pattern.slice(0, 256), text.slice(0, 256)));
    },
  ),
];

/** What an evaluation may throw. */
async function settle(evaluate: () => unknown): Promise<void> {
  try {
    const value = await evaluate();
    if (value !== undefined) JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof EvaluationError || error instanceof RenderError)) throw error;
  }
}

function asRegularExpression(pattern: string): RegExp {
  const source = pattern.replace(/\*\*+|\*|\\([\s\S])|[\s\S]/g, (token, escaped?: string) => {
    if (token.startsWith("**")) return "[\\s\\S]*";
    if (token === "*") return "[^./]*";
    return (escaped ?? token).replace(/[^\p{L}\p{N}\s]/gu, "\\$&");
  });
  return new RegExp(`^${source}$`);
}
