/**
 * JSONata's functions, made bounded.
 *
 * Every one of them is wrapped (`guard`): it looks at the time first, and what it makes is counted. Those that could
 * take much from a small argument (a width, a picture, a separator, a function over a function) are checked before, or
 * replaced by one that does the same in less. `$eval` is gone.
 */
import { checkItems, checkTime, spendText } from "./budget.ts";
import { distinct, extreme, sort, spread } from "./list-functions.ts";
import type { Builtin, Focus, NativeFunction } from "./native-function.ts";
import { checkDate, checkDateParse, checkInteger, checkNumberFormat, checkPicture } from "./picture.ts";
import {
  clone,
  join,
  length,
  pad,
  percentEncoded,
  replace,
  split,
  string,
  substring,
} from "./text-functions.ts";

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
  formatInteger: (own) => before(own, checkInteger),
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
