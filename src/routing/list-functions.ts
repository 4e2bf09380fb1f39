/** JSONata's functions on lists whose own form takes time, stack or memory beyond what is linear. */
import { checkItems, checkText, checkTime } from "./budget.ts";
import { type Applicable, type Focus, isFunction } from "./native-function.ts";
import { measure } from "./plain.ts";

export function distinct(this: Focus, arr: unknown): unknown {
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

export function spread(this: Focus, arg: unknown): unknown {
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
export async function sort(arr: unknown[] | undefined, comparator?: Applicable): Promise<unknown> {
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
export function extreme(beats: (a: number, b: number) => boolean) {
  return function extreme(args: readonly number[] | undefined): number | undefined {
    let best = args?.[0];
    for (const value of args ?? []) {
      if (Number.isNaN(value)) return value;
      if (best === undefined || beats(value, best)) best = value;
    }
    return best;
  };
}
