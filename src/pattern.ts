/**
 * Patterns: the one implementation of `*` and `**`, for `match`, channels and publishing.
 *
 * A segment ends at `.` or `/`. `*` stands for any run of characters within a segment (also an empty one), `**` for
 * any run at all. `\` makes the character after it literal. Everything else stands for itself, case and all.
 *
 * Matching is a simulation of the pattern's states, so its cost is at most pattern × text, whatever either holds:
 * a regular expression made from a pattern with several stars could be made to backtrack by a hostile channel name.
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
  let text = "";
  for (const token of list) if (token.kind === "char") text += String.fromCharCode(token.code);
  return text;
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
  return (text) => {
    const symbols: Token[] = [];
    for (let at = 0; at < text.length; at++) symbols.push({ kind: "char", code: text.charCodeAt(at) });
    return accepts(list, symbols);
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
  return accepts(tokens(entry), tokens(asked));
}

/** Runs the states of `pattern` over symbols, which may be wildcards themselves. */
function accepts(pattern: readonly Token[], symbols: readonly Token[]): boolean {
  // state[i]: the first i tokens have consumed every symbol so far.
  let state = new Uint8Array(pattern.length + 1);
  state[0] = 1;
  skipWildcards(pattern, state);
  for (const symbol of symbols) {
    const next = new Uint8Array(pattern.length + 1);
    let alive = false;
    for (let at = 0; at < pattern.length; at++) {
      if (state[at] !== 1) continue;
      const token = pattern[at] as Token;
      if (!consumes(token, symbol)) continue;
      next[token.kind === "char" ? at + 1 : at] = 1;
      alive = true;
    }
    if (!alive) return false;
    skipWildcards(pattern, next);
    state = next;
  }
  return state[pattern.length] === 1;
}

function consumes(token: Token, symbol: Token): boolean {
  if (token.kind === "any") return true;
  if (token.kind === "segment") {
    return symbol.kind === "segment" || (symbol.kind === "char" && !isSeparator(symbol.code));
  }
  return symbol.kind === "char" && symbol.code === token.code;
}

/** A wildcard may stand for nothing: what is reached before it is reached after it. */
function skipWildcards(pattern: readonly Token[], state: Uint8Array): void {
  for (let at = 0; at < pattern.length; at++) {
    if (state[at] === 1 && pattern[at]?.kind !== "char") state[at + 1] = 1;
  }
}
