/**
 * Patterns: the one implementation of `*` and `**`, for `match`, channels and publishing.
 *
 * A segment ends at `.` or `/`. `*` stands for any run of characters within a segment (also an empty one), `**` for
 * any run at all. `\` makes the character after it literal. Everything else stands for itself, case and all.
 *
 * Matching is a simulation of the pattern's states, 32 of them a step, so its cost is at most pattern × text / 32,
 * whatever either holds: a regular expression made from a pattern with several stars could be made to backtrack by a
 * hostile channel name, and readers bring patterns of their own, each of which is held against each event.
 */

/** A literal character (one UTF-16 unit) or a wildcard. */
type Token =
  | { readonly kind: "char"; readonly code: number }
  | { readonly kind: "segment" }
  | { readonly kind: "any" };

const DOT = 46;
const SLASH = 47;

function isSeparator(code: number): boolean {
  return code === DOT || code === SLASH;
}

function tokens(pattern: string): Token[] {
  const list: Token[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const char = pattern[at];
    if (char === "*") {
      const any = pattern[at + 1] === "*";
      if (any) at++;
      const last = list.at(-1);
      // Neighbouring wildcards are one: `any` beside anything that it covers is `any`.
      if (last !== undefined && last.kind !== "char") {
        if (any) list[list.length - 1] = { kind: "any" };
      } else list.push({ kind: any ? "any" : "segment" });
      continue;
    }
    if (char === "\\" && at + 1 < pattern.length) at++;
    list.push({ kind: "char", code: pattern.charCodeAt(at) });
  }
  return list;
}

/** The text that tokens without wildcards stand for. */
function literal(list: readonly Token[]): string {
  const codes = list.flatMap((token) => (token.kind === "char" ? token.code : []));
  return String.fromCharCode(...codes);
}

/** Whether a string has a wildcard, and so is more than a name. */
export function isPattern(pattern: string): boolean {
  return tokens(pattern).some((token) => token.kind !== "char");
}

/** The name that a pattern without wildcards stands for; null where it has one. */
export function literalName(pattern: string): string | null {
  const list = tokens(pattern);
  return list.every((token) => token.kind === "char") ? literal(list) : null;
}

/**
 * A pattern as it is written in the one way that says no more than is needed: `\` before `*` and `\` alone, and
 * neighbouring wildcards as one. Two patterns that are compared as texts, or that somebody else is asked about, are to be
 * compared and asked about like this: `doc.\7` is `doc.7`.
 */
export function plainPattern(pattern: string): string {
  if (!/\\|\*{3}/.test(pattern)) return pattern;
  return tokens(pattern).map(written).join("");
}

function written(token: Token): string {
  if (token.kind === "char") return escapePattern(String.fromCharCode(token.code));
  return token.kind === "any" ? "**" : "*";
}

/** A text that a pattern matches, the same for all of its spellings: the name where it is one, else with its stars as they stand. */
export function sampleText(pattern: string): string {
  return tokens(pattern)
    .map((token) => (token.kind === "char" ? String.fromCharCode(token.code) : written(token)))
    .join("");
}

/** Whether something stands behind a wildcard: then a text has to be gone through, where else a look at its beginning tells. */
export function hasInnerWildcard(pattern: string): boolean {
  let wild = false;
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === "*") wild = true;
    else if (wild) return true;
    else if (pattern[at] === "\\") at++;
  }
  return false;
}

/** A text as a pattern that matches it alone: what a template puts into a pattern goes through this. */
export function escapePattern(text: string): string {
  return text.replace(/[*\\]/g, "\\$&");
}

/** What a text with `{{ … }}` may become, as a pattern: anything at all may stand in their places. */
export function templatePattern(text: string): string {
  return text.replace(/\{\{[\s\S]*?\}\}/g, "**");
}

/** The predicate of a pattern. Never throws; every string is a pattern. */
export function compilePattern(pattern: string): (text: string) => boolean {
  const list = tokens(pattern);
  const wild = list.findIndex((token) => token.kind !== "char");
  if (wild === -1) {
    const name = literal(list);
    return (text) => text === name;
  }
  if (wild === list.length - 1) {
    const prefix = literal(list.slice(0, -1));
    if (list[wild]?.kind === "any") return (text) => text.startsWith(prefix);
    return (text) => text.startsWith(prefix) && !hasSeparator(text, prefix.length);
  }
  const prefix = literal(list.slice(0, wild));
  const suffix = literal(list.slice(list.findLastIndex((token) => token.kind !== "char") + 1));
  const least = list.filter((token) => token.kind === "char").length;
  // Made of the pattern anew where a text comes that far: of most patterns that readers bring none does.
  let states: States | null = null;
  return (text) => {
    if (text.length < least || !text.startsWith(prefix) || !text.endsWith(suffix)) return false;
    states ??= new States(tokens(pattern));
    states.begin();
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (!states.step(code, isSeparator(code))) return false;
    }
    return states.accepting;
  };
}

function hasSeparator(text: string, from: number): boolean {
  for (let at = from; at < text.length; at++) if (isSeparator(text.charCodeAt(at))) return true;
  return false;
}

/**
 * Whether the pattern `entry` is, or covers, what was `asked` for: a name or itself a pattern. It never says yes to a
 * pattern that could match a text that `entry` doesn't: a wildcard that was asked for is only consumed by one as wide.
 */
export function covers(entry: string, asked: string): boolean {
  const { prefix, states } = coverOf(entry);
  // What stands before all wildcards has to be there as it is, unless a backslash makes it look otherwise.
  if (!asked.startsWith(prefix) && !asked.includes("\\")) return false;
  states.begin();
  for (const symbol of symbolsOf(asked)) {
    const goesOn =
      symbol.kind === "char"
        ? states.step(symbol.code, isSeparator(symbol.code))
        : states.step(null, symbol.kind === "any");
    if (!goesOn) return false;
  }
  return states.accepting;
}

/** What one pattern covers. */
interface Cover {
  readonly prefix: string;
  readonly states: States;
}

/** A reader names up to a hundred channels, and each is held against each of a stream's entries: these are made once. */
const covering = new Map<string, Cover>();
const MOST_COVERS = 1000;

function coverOf(entry: string): Cover {
  const known = covering.get(entry);
  if (known !== undefined) return known;
  const list = tokens(entry);
  const wild = list.findIndex((token) => token.kind !== "char");
  const cover = { prefix: literal(wild === -1 ? list : list.slice(0, wild)), states: new States(list) };
  // Entries hold claims, such as a user's name: there may be very many in time.
  if (covering.size >= MOST_COVERS) covering.clear();
  covering.set(entry, cover);
  return cover;
}

/** The last that was asked: it is held against one entry after another. */
let lastAsked: { readonly asked: string; readonly symbols: readonly Token[] } = { asked: "", symbols: [] };

function symbolsOf(asked: string): readonly Token[] {
  if (lastAsked.asked !== asked) lastAsked = { asked, symbols: tokens(asked) };
  return lastAsked.symbols;
}

/**
 * The states of a pattern as bits: bit n is set where its first n tokens have consumed all symbols so far. All rows of bits
 * lie in one piece of memory, since there may be very many patterns.
 */
class States {
  readonly #length: number;
  readonly #now: Uint32Array;
  /** For each character, from where on in `#bits` lie the tokens that consume it alone. */
  readonly #chars = new Map<number, number>();
  /** First those that consume any symbol, then those that consume any within a segment, then the characters'. */
  readonly #bits: Uint32Array;

  constructor(pattern: readonly Token[]) {
    this.#length = pattern.length;
    const words = (pattern.length >>> 5) + 1;
    for (const token of pattern) {
      if (token.kind === "char" && !this.#chars.has(token.code)) {
        this.#chars.set(token.code, (2 + this.#chars.size) * words);
      }
    }
    this.#now = new Uint32Array(words);
    this.#bits = new Uint32Array((2 + this.#chars.size) * words);
    for (const [at, token] of pattern.entries()) {
      if (token.kind === "char") set(this.#bits, at, this.#chars.get(token.code));
      else {
        set(this.#bits, at, words);
        if (token.kind === "any") set(this.#bits, at);
      }
    }
  }

  begin(): void {
    this.#now.fill(0);
    set(this.#now, 0);
    // A wildcard may stand for nothing.
    if (has(this.#bits, 0, this.#now.length)) set(this.#now, 1);
  }

  /** Consumes a character, or (null) a wildcard that was asked for. `crosses`: only `**` takes it. False: nothing does. */
  step(code: number | null, crosses: boolean): boolean {
    const now = this.#now;
    const bits = this.#bits;
    const wild = now.length;
    const own = code === null ? undefined : this.#chars.get(code);
    const staying = crosses ? 0 : wild;
    let moved = 0;
    let skipped = 0;
    let alive = 0;
    for (let word = 0; word < now.length; word++) {
      const before = now[word] as number;
      const taken = own === undefined ? 0 : before & (bits[own + word] as number);
      const reached = (before & (bits[staying + word] as number)) | (taken << 1) | moved;
      // No wildcard follows another (`tokens`), so that one step past them is all.
      const past = reached & (bits[wild + word] as number);
      const after = reached | (past << 1) | skipped;
      moved = taken >>> 31;
      skipped = past >>> 31;
      now[word] = after;
      alive |= after;
    }
    return alive !== 0;
  }

  get accepting(): boolean {
    return has(this.#now, this.#length);
  }
}

function set(bits: Uint32Array, at: number, from = 0): void {
  const word = from + (at >>> 5);
  bits[word] = (bits[word] as number) | (1 << (at & 31));
}

function has(bits: Uint32Array, at: number, from = 0): boolean {
  return ((bits[from + (at >>> 5)] as number) & (1 << (at & 31))) !== 0;
}
