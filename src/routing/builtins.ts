/**
 * JSONata's functions, made bounded.
 *
 * Every one of them is wrapped (`guard`): it looks at the time first, and what it makes is counted. Those that could
 * take much from a small argument (a width, a picture, a separator, a function over a function) are checked before, or
 * replaced by one that does the same in less. `$eval` is gone.
 */
import { checkItems, checkText, checkTime, spendText } from "./budget.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { checkDateParse, checkDatePicture, checkNumberFormat, checkPicture } from "./picture.ts";
import { measure } from "./plain.ts";

/** What JSONata gives a function as `this`. */
interface Focus {
  readonly environment: { readonly timestamp: Date };
  createSequence(...items: unknown[]): unknown[];
}

export type Builtin = (this: Focus, ...args: never[]) => unknown;

/** A function of JSONata's own, as a variable holds it. */
export interface NativeFunction {
  readonly implementation: Builtin;
  readonly signature: { readonly definition: string };
}

type Bounds = Readonly<Record<string, (own: Builtin) => Builtin>>;

/** What is checked before JSONata's own runs, or runs instead of it. */
const BOUNDS: Bounds = {
  // Texts that grow by an argument.
  pad: () => pad as Builtin,
  join: (own) => join(own) as Builtin,
  replace: (own) => replace(own) as Builtin,
  split: (own) => split(own) as Builtin,
  string: () => string as Builtin,
  clone: () => clone as Builtin,
  encodeUrl: (own) => before(own, percentEncoded),
  encodeUrlComponent: (own) => before(own, percentEncoded),
  // Pictures.
  formatNumber: (own) =>
    before(own, (_value, picture, options) => {
      checkPicture(picture);
      checkNumberFormat(options);
    }),
  formatInteger: (own) => before(own, formatInteger),
  parseInteger: (own) => before(own, (_text, picture) => checkPicture(picture)),
  fromMillis: (own) => before(own, (_millis, picture, zone) => checkDate(picture, zone)),
  toMillis: (own) =>
    before(own, (text, picture) => {
      if (typeof text === "string" && typeof picture === "string") checkDateParse(text, picture);
    }),
  // Made of an array of single characters each.
  length: () => length as Builtin,
  substring: () => substring as Builtin,
  // Take time or stack beyond what is linear.
  sort: () => sort as Builtin,
  distinct: () => distinct as Builtin,
  spread: () => spread as Builtin,
  max: () => extreme((a, b) => a > b) as Builtin,
  min: () => extreme((a, b) => a < b) as Builtin,
};

/** JSONata's function, or what stands for it, guarded. */
export function boundedBuiltin(name: string, native: NativeFunction): Builtin {
  const bound = Object.hasOwn(BOUNDS, name) ? BOUNDS[name] : undefined;
  return guard(native.implementation, bound?.(native.implementation) ?? native.implementation);
}

/** `$now`, which JSONata binds anew in each expression, so that there is no original to wrap. */
export function boundedNow(fromMillis: NativeFunction): Builtin {
  const own = fromMillis.implementation as (millis: number, picture?: string, zone?: string) => unknown;
  function now(this: Focus, picture?: string, timezone?: string): unknown {
    checkDate(picture, timezone);
    return own.call(this, this.environment.timestamp.getTime(), picture, timezone);
  }
  return guard(now as Builtin, now as Builtin);
}

/** Looks at the time before and at what came out after. JSONata reads the parameters' names from the source text. */
function guard(named: Builtin, implementation: Builtin): Builtin {
  const parameters = /\(([^)]*)\)/.exec(named.toString())?.[1] ?? "";
  const names = parameters.split(",").map((parameter) => parameter.split("=")[0]?.trim());
  function guarded(this: Focus, ...args: never[]): unknown {
    checkTime();
    const result = implementation.apply(this, args);
    return result instanceof Promise ? result.then(counted) : counted(result);
  }
  return Object.defineProperties(guarded, {
    toString: { value: () => `function(${names.join(", ")})` },
    length: { value: named.length },
  });
}

function counted(result: unknown): unknown {
  if (typeof result === "string") spendText(result.length);
  else if (Array.isArray(result)) checkItems(result.length);
  return result;
}

function before(own: Builtin, check: (...args: unknown[]) => void): Builtin {
  return function (this: Focus, ...args: never[]): unknown {
    check(...args);
    return own.apply(this, args);
  };
}

// ---------------------------------------------------------------------------------------------------------------- texts

function pad(text: string | undefined, width: number, char?: string): string | undefined {
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

function join(own: Builtin) {
  return function (this: Focus, texts: readonly string[] | undefined, separator?: string): unknown {
    if (texts !== undefined) {
      let total = texts.length * (separator?.length ?? 0);
      for (const text of texts) total += text.length;
      checkText(total);
    }
    return own.apply(this, [texts, separator] as never[]);
  };
}

function percentEncoded(text: unknown): void {
  // A character is at most 9 (three bytes, each `%XX`).
  if (typeof text === "string") checkText(text.length * 3);
}

/** What JSONata calls through `apply`: a JavaScript function or one of its own lambdas. */
interface Applicable {
  apply(self: unknown, args: unknown[]): unknown;
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

function replace(own: Builtin) {
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

function split(own: Builtin) {
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
function string(arg: unknown, prettify: boolean): string | undefined {
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

function clone(arg: unknown): unknown {
  const text = string(arg, false);
  return text === undefined ? undefined : JSON.parse(text);
}

function isFunction(value: unknown): boolean {
  if (typeof value === "function") return true;
  if (typeof value !== "object" || value === null) return false;
  return "_jsonata_function" in value || "_jsonata_lambda" in value;
}

function length(str: string | undefined): number | undefined {
  if (str === undefined) return undefined;
  let count = 0;
  for (let at = 0; at < str.length; count++) at += (str.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return count;
}

function substring(str: string | undefined, start: number, size?: number): string | undefined {
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

// ------------------------------------------------------------------------------------------------------------- pictures

function formatInteger(value: unknown, picture: unknown): void {
  checkPicture(picture);
  if (typeof value !== "number") return;
  // Letters of infinity are infinitely many.
  if (!Number.isFinite(value))
    throw new EvaluationError("expression", "$formatInteger takes a finite number");
  if (/^i(;|$)/i.test(String(picture)) && Math.abs(value) > 1_000_000) {
    throw new EvaluationError("expression", "$formatInteger writes Roman numerals up to 1000000");
  }
}

function checkDate(picture: unknown, zone: unknown): void {
  checkDatePicture(picture);
  if (typeof zone === "string" && zone.length > 16) {
    throw new EvaluationError("expression", "a time zone is written as ±hhmm");
  }
}

// ---------------------------------------------------------------------------------------------------------------- lists

function distinct(this: Focus, arr: unknown): unknown {
  if (!Array.isArray(arr) || arr.length <= 1) return arr;
  checkItems(arr.length);
  const results: unknown[] = "sequence" in arr ? this.createSequence() : [];
  // Scalars by themselves; others by their JSON text, keys sorted, which is equal where JSONata finds them equal.
  const scalars = new Set<unknown>();
  const others = new Set<string>();
  let made = 0;
  for (const value of arr) {
    if (typeof value !== "object" || value === null) {
      if (scalars.has(value)) continue;
      scalars.add(value);
    } else {
      checkTime();
      const text = canonical(value);
      made += text.length;
      checkText(made);
      if (others.has(text)) continue;
      others.add(text);
    }
    results.push(value);
  }
  return results;
}

function canonical(value: unknown): string {
  measure(value);
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== "object" || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function spread(this: Focus, arg: unknown): unknown {
  if (typeof arg !== "object" || arg === null || isFunction(arg)) return arg;
  measure(arg);
  // JSONata unwraps a sequence of one, which the fields of an object are and those of a list's items aren't.
  const result: unknown[] = Array.isArray(arg) && arg.length > 0 ? [] : this.createSequence();
  const add = (item: unknown) => {
    if (Array.isArray(item)) for (const inner of item) add(inner);
    else if (typeof item === "object" && item !== null && !isFunction(item)) {
      for (const [key, value] of Object.entries(item)) {
        result.push(Object.assign(Object.create(null), { [key]: value }));
      }
    } else result.push(item);
  };
  add(arg);
  return result;
}

/**
 * `$sort`: a stable merge sort. JSONata's own copies what remains at every comparison and keeps all the copies: 10,000
 * numbers take 200 MB.
 */
async function sort(arr: unknown[] | undefined, comparator?: Applicable): Promise<unknown> {
  if (arr === undefined || arr.length <= 1) return arr;
  checkItems(arr.length);
  if (comparator === undefined) {
    const kinds = new Set(arr.map((item) => typeof item));
    const [kind] = kinds;
    if (kinds.size !== 1 || (kind !== "number" && kind !== "string")) throw { code: "D3070", index: 1 };
    return arr.toSorted((a, b) =>
      (a as number) > (b as number) ? 1 : (a as number) < (b as number) ? -1 : 0,
    );
  }
  let from = [...arr];
  for (let width = 1; width < from.length; width *= 2) {
    const to: unknown[] = [];
    for (let start = 0; start < from.length; start += 2 * width) {
      const middle = Math.min(start + width, from.length);
      const end = Math.min(start + 2 * width, from.length);
      let [left, right] = [start, middle];
      while (left < middle && right < end) {
        checkTime();
        // True: the first belongs after the second.
        to.push(
          (await comparator.apply(undefined, [from[left], from[right]])) ? from[right++] : from[left++],
        );
      }
      while (left < middle) to.push(from[left++]);
      while (right < end) to.push(from[right++]);
    }
    from = to;
  }
  return from;
}

/** JSONata's own hands the list to Math.max as arguments, of which the stack takes some 100,000. */
function extreme(beats: (a: number, b: number) => boolean) {
  return function extreme(args: readonly number[] | undefined): number | undefined {
    let best = args?.[0];
    for (const value of args ?? []) {
      if (Number.isNaN(value)) return value;
      if (best === undefined || beats(value, best)) best = value;
    }
    return best;
  };
}
