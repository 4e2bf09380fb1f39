/**
 * The text of a member of a JSON object, as it was written: a number keeps its digits, where a double has 15 of them, and
 * nothing is written anew. Looks at each character once, whatever a stranger has written. Pure.
 */

/** Deeper than anybody means it; what reads it after us may read it with a stack. */
const MAX_DEPTH = 1000;

/**
 * @param text a JSON object: it was parsed
 * @param name a member that it has; of several the last one, as `JSON.parse` has it
 * @returns null where it is nested too deeply
 */
export function memberText(text: string, name: string): string | null {
  let found: string | null = null;
  let at = text.indexOf("{") + 1;
  for (;;) {
    at = pastSpace(text, at);
    if (text[at] === "}") return found;
    if (text[at] === ",") at = pastSpace(text, at + 1);
    const keyEnd = pastString(text, at);
    const key = JSON.parse(text.slice(at, keyEnd)) as string;
    const begin = pastSpace(text, pastSpace(text, keyEnd) + 1);
    at = pastValue(text, begin);
    if (at < 0) return null;
    if (key === name) found = text.slice(begin, at);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function pastSpace(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= 0x20) at++;
  return at;
}

/** `from`: its first quote. */
function pastString(text: string, from: number): number {
  let at = from + 1;
  for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(at)) {
    at += code === BACKSLASH ? 2 : 1;
  }
  return at + 1;
}

/** -1: it is nested too deeply. */
function pastValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  do {
    const char = text[at];
    if (char === '"') at = pastString(text, at);
    else if (char === "{" || char === "[") {
      if (++depth > MAX_DEPTH) return -1;
      at++;
    } else if (char === "}" || char === "]") {
      depth--;
      at++;
    } else if (char === "," || char === ":" || text.charCodeAt(at) <= 0x20) at++;
    else at = pastWord(text, at);
  } while (depth > 0);
  return at;
}

/** A number, true, false or null. */
function pastWord(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) > 0x20 && !",:]}".includes(text[at] as string)) at++;
  return at;
}
