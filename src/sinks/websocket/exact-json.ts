/** JSON of a value that was parsed, with its numbers as they were written: a double keeps 15 digits of them. Pure. */

/** Numbers that a double may not keep: long ones, and those with an exponent. */
const RISKY = /\d{16}|\d[.\d]*[eE]|\.\d{15}|\d\.\d*0[,\]}\s]|-0/;

/** What TypeScript's library doesn't know yet (ECMAScript's `JSON.parse` source text access). */
interface WithSource {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

/**
 * JSON of `value`, the member `data` of what `text` says. Null where it is nested too deeply to be written.
 */
export function asJson(value: unknown, text: string): string | null {
  try {
    return JSON.stringify(RISKY.test(text) ? exact(text) : value);
  } catch {
    return null;
  }
}

function exact(text: string): unknown {
  const json = JSON as unknown as WithSource;
  const parsed = json.parse(text, (_key, value, { source }) => {
    const changed = typeof value === "number" && source !== undefined && String(value) !== source;
    return changed ? json.rawJSON(source) : value;
  });
  return (parsed as { readonly data: unknown }).data;
}
