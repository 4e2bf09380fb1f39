/** JSONata's functions on texts, each in a form that makes no more than an evaluation may. */
import { checkItems, checkText, checkTime } from "./budget.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { type Applicable, type Builtin, type Focus, isFunction } from "./native-function.ts";
import { measure } from "./plain.ts";

export function pad(text: string | undefined, width: number, char?: string): string | undefined {
  if (text === undefined) return undefined;
  const fill = char === undefined || char === "" ? " " : char;
  const missing = Math.abs(Math.trunc(width)) - length(text)!;
  if (!(missing > 0)) return text;
  checkText(text.length + missing * Math.min(2, fill.length));
  const characters = length(fill)!;
  const repeated = fill.repeat(Math.ceil(missing / characters));
  const padding = sliceCharacters(repeated, Math.ceil(missing / characters) * characters, 0, missing);
  return width > 0 ? text + padding : padding + text;
}

export function join(own: Builtin) {
  return function (this: Focus, texts: readonly string[] | undefined, separator?: string): unknown {
    if (texts !== undefined) {
      let total = texts.length * (separator?.length ?? 0);
      for (const text of texts) total += text.length;
      checkText(total);
    }
    return own.apply(this, [texts, separator] as never[]);
  };
}

export function percentEncoded(text: unknown): void {
  // A character is at most 9 (three bytes, each `%XX`).
  if (typeof text === "string") checkText(text.length * 3);
}

/** A match as JSONata hands it round: of a regular expression, or what a user's own matching function yields. */
interface Match {
  readonly match?: string;
  readonly groups?: readonly (string | undefined)[];
  readonly next: Applicable;
}

/** Looks at every match before JSONata goes on with it. */
function watched(matching: Applicable, see: (match: Match) => void): (text: string) => unknown {
  const watch = (found: unknown): unknown => {
    if (found instanceof Promise) return found.then(watch);
    if (typeof found !== "object" || found === null) return found;
    checkTime();
    const match = found as Match;
    see(match);
    return { ...match, next: () => watch(match.next.apply(undefined, [undefined])) };
  };
  return (text) => watch(matching.apply(undefined, [text]));
}

export function replace(own: Builtin) {
  return async function (
    this: Focus,
    text: string | undefined,
    pattern: string | Applicable,
    replacement: string | Applicable | undefined,
    limit?: number,
  ): Promise<unknown> {
    let made = text?.length ?? 0;
    const add = (length: number) => checkText((made += length));
    let [find, put] = [pattern, replacement];
    if (typeof pattern === "string") {
      // JSONata takes the text of a replacement that is none.
      const most =
        text === undefined || pattern === "" ? 0 : pieces(text, pattern, (limit ?? Infinity) + 1) - 1;
      add(most * String(replacement).length);
    } else if (typeof replacement === "string") {
      // Each `$` may put in a group, which is no longer than the match.
      const references = replacement.split("$").length - 1;
      find = watched(pattern, ({ match, groups = [] }) => {
        const longest = groups.reduce(
          (most, group) => Math.max(most, group?.length ?? 0),
          match?.length ?? 0,
        );
        add(replacement.length + references * longest);
      });
    } else if (replacement !== undefined) {
      put = async (match: unknown) => {
        const by = await replacement.apply(undefined, [match]);
        if (typeof by === "string") add(by.length);
        return by;
      };
    }
    return own.apply(this, [text, find, put, limit] as never[]);
  };
}

export function split(own: Builtin) {
  return function (
    this: Focus,
    text: string | undefined,
    separator: string | Applicable,
    limit?: number,
  ): unknown {
    if (text === undefined) return undefined;
    if (typeof separator === "string") {
      if (limit === undefined || limit >= 0) checkItems(pieces(text, separator, limit));
      return own.apply(this, [text, separator, limit] as never[]);
    }
    let count = 0;
    const look = watched(separator, () => checkItems(++count));
    return own.apply(this, [text, look, limit] as never[]);
  };
}

/** How many pieces a split will make. */
function pieces(text: string, separator: string, limit = Infinity): number {
  if (separator === "") return Math.min(text.length, limit);
  let count = 1;
  for (let at = text.indexOf(separator); at !== -1 && count < limit; count++) {
    at = text.indexOf(separator, at + separator.length);
  }
  return count;
}

/** `$string`: as JSONata's own, once the size of what comes out is known. */
export function string(arg: unknown, prettify: boolean): string | undefined {
  if (arg === undefined) return undefined;
  if (typeof arg === "string") return arg;
  if (isFunction(arg)) return "";
  const value = Array.isArray(arg) && "outerWrapper" in arg ? arg[0] : arg;
  const { values, text, depth } = measure(value);
  // Quotes, commas, a number's digits; escapes are seen by what comes out.
  checkText(text + values * (prettify ? 2 * depth + 4 : 4));
  // 15 digits, as JSONata has it: 0.1 + 0.2 is 0.3.
  const replacer = (_key: string, item: unknown) => {
    if (typeof item === "number" && !Number.isInteger(item)) return Number(finite(item).toPrecision(15));
    return isFunction(item) ? "" : item;
  };
  return JSON.stringify(value, replacer, prettify ? 2 : 0);
}

function finite(number: number): number {
  if (Number.isFinite(number)) return number;
  throw new EvaluationError("expression", "a number that is not finite has no text");
}

export function clone(arg: unknown): unknown {
  const text = string(arg, false);
  return text === undefined ? undefined : JSON.parse(text);
}

export function length(str: string | undefined): number | undefined {
  if (str === undefined) return undefined;
  let count = 0;
  for (let at = 0; at < str.length; count++) at += (str.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

export function substring(str: string | undefined, start: number, size?: number): string | undefined {
  if (str === undefined) return undefined;
  const total = length(str)!;
  // As Array.prototype.slice counts, whose semantics JSONata's own has.
  const from = total + start < 0 ? 0 : start;
  if (size !== undefined && size <= 0) return "";
  const to = size === undefined ? total : from >= 0 ? from + size : total + from + size;
  return sliceCharacters(str, total, from, to);
}

function sliceCharacters(str: string, total: number, from: number, to: number): string {
  const place = (index: number) => {
    const whole = Math.trunc(index) || 0;
    return whole < 0 ? Math.max(total + whole, 0) : Math.min(whole, total);
  };
  const [first, end] = [place(from), place(to)];
  if (total === str.length) return str.slice(first, Math.max(first, end));
  let [at, count, begin] = [0, 0, str.length];
  for (; at < str.length && count < end; count++) {
    if (count === first) begin = at;
    at += (str.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return first < end ? str.slice(begin, at) : "";
}
