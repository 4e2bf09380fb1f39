/**
 * The secrets that this process has been given, so that none is in what it writes: log lines, errors on the terminal, the
 * history of a delivery. Known by value, since a library's message may hold one anywhere. One set for the whole process,
 * as its output is one.
 */

/** Shorter ones would take whole words out of every line. */
const LEAST_LENGTH = 6;
/** A line of a key (PEM) that is worth nothing less alone. */
const LEAST_LINE = 20;

/** Longest first: one may hold another. */
let known: readonly string[] = [];

/** To be called with what a configuration holds; what was known stays, for an old secret is still one. */
export function keepSecrets(values: Iterable<string>): void {
  const all = new Set(known);
  for (const value of values) {
    if (value.length < LEAST_LENGTH) continue;
    all.add(value);
    // As a URL has it.
    all.add(encodeURIComponent(value.toWellFormed()));
    const lines = value.split(/\r?\n/);
    if (lines.length > 1) for (const line of lines) if (line.length >= LEAST_LINE) all.add(line);
  }
  known = [...all].sort((a, b) => b.length - a.length);
}

/** The text without any secret that is known. */
export function withoutSecrets(text: string): string {
  let shown = text;
  for (const secret of known) if (shown.includes(secret)) shown = shown.replaceAll(secret, "***");
  return shown;
}

/**
 * Takes user, password, query and fragment from every address in a text. A scheme is short: looking for longer ones, at
 * each letter of a long text anew, would take time that grows with its square.
 */
export function withoutCredentials(text: string): string {
  if (!text.includes("://")) return text;
  return text.replace(
    /([a-z][a-z0-9+.-]{0,31}:\/\/)(?:[^\s/?#@"']*@)?([^\s?#"']*)(?:[?#][^\s"']*)?/gi,
    (_whole, scheme: string, place: string) => scheme + place,
  );
}
