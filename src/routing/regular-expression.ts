/**
 * Regular expressions of JSONata, by RE2: its time grows with the text, where a backtracking engine's can double with
 * every character, as that of `/^(a+)+$/` does (`test/routing/hostile.test.ts`).
 */
import { RE2JS } from "re2js";
import { checkSearch, checkTime } from "./budget.ts";

/** By the literal in the syntax tree, so that an expression's is compiled once. */
const compiled = new WeakMap<RegExp, RE2JS>();

/**
 * @throws what RE2 doesn't have (look-ahead and look-behind, backreferences) or doesn't parse; the message says what.
 */
export function compileRegularExpression(literal: RegExp): RE2JS {
  let re2 = compiled.get(literal);
  if (re2 === undefined) {
    let flags = 0;
    if (literal.flags.includes("i")) flags |= RE2JS.CASE_INSENSITIVE;
    if (literal.flags.includes("m")) flags |= RE2JS.MULTILINE;
    re2 = RE2JS.compile(RE2JS.translateRegExp(literal.source), flags);
    compiled.set(literal, re2);
  }
  return re2;
}

/** What JSONata uses of a RegExp with the flag `g`, for its option `RegexEngine`. */
export class Re2Engine {
  lastIndex = 0;
  readonly #re2: RE2JS;
  readonly #size: number;

  constructor(literal: RegExp) {
    this.#re2 = compileRegularExpression(literal);
    this.#size = this.#re2.programSize();
  }

  exec(text: string): (RegExpExecArray & { index: number }) | null {
    checkTime();
    checkSearch((text.length - this.lastIndex) * this.#size);
    const matcher = this.#re2.matcher(text);
    if (this.lastIndex > text.length || !matcher.find(this.lastIndex)) {
      this.lastIndex = 0;
      return null;
    }
    // A group that took no part is undefined, as RegExp has it.
    const match: (string | undefined)[] = [];
    for (let group = 0; group <= matcher.groupCount(); group++) match.push(matcher.group(group) ?? undefined);
    this.lastIndex = matcher.end();
    return Object.assign(match, { index: matcher.start(), input: text }) as RegExpExecArray;
  }
}
