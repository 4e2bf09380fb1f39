/**
 * Makes the client's one file small: spaces go, and names that mean nothing to anybody outside become short.
 *
 * It knows tokens, not the language, so it relies on what tsc prints (no comments, every semicolon) and on how src/client/
 * is written: no methods in object literals, no labels, no templates in templates. The client's tests run what comes out.
 */

const TOKEN =
  /(?<space>\s+)|(?<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<name>[A-Za-z_$][\w$]*)|(?<own>#[A-Za-z_$][\w$]*)|(?<number>\d[\w.]*)|(?<sign>=>|\.\.\.|\?\.|\?\?=?|\*\*|\+\+|--|&&|\|\||[-+|&<>=!*]=*|[^\s])/y;

const KEYWORDS = new Set(
  (
    "async await break case catch class const constructor continue default delete do else export extends false finally for " +
    "from function get if import in instanceof let new null of return set static super switch this throw true try typeof " +
    "undefined var void while with yield arguments as"
  ).split(" "),
);

/** In browsers, and not in this Node. */
const GLOBALS = new Set(["EventSource", "location"]);

/** What an object or a pattern may follow; after anything else a brace begins a block. */
const BEFORE_OBJECT = new Set("( , = : [ ? ... && || ?? return const let export".split(" "));

type Role = "binding" | "property" | "shorthand" | "exported";

interface Token {
  readonly kind: string;
  readonly text: string;
  role?: Role;
}

/** `internal`: names of properties that nobody outside knows. */
export function minify(text: string, internal: readonly string[] = []): string {
  const tokens = tokensOf(text).map((token) => {
    const at = token.kind === "name" ? internal.indexOf(token.text) : -1;
    return at < 0 ? token : { ...token, text: `$${letters(at)}` };
  });
  assignRoles(tokens);
  const statements = statementsOf(tokens);
  const top = declared(statements);
  // Capitals, so that the small letters are left for the many.
  const shared = shortNames(
    tokens.filter(({ text }) => top.has(text)),
    tokens,
    ...LETTERS.slice(0, 26),
  );
  let out = "";
  for (const statement of statements) {
    // What is known in one statement alone has names there that others use as well.
    const own = statement.filter(({ text }) => !shared.has(text));
    const names = new Map([...shared, ...shortNames(own, statement, ...shared.values())]);
    for (const [at, token] of statement.entries()) {
      const next = written(token, names);
      if ((next === "}" && /[;,]$/.test(out)) || (next === ")" && /[^(],$/.test(out))) out = out.slice(0, -1);
      const clash = (/[\w$#]$/.test(out) && /^[\w$]/.test(next)) || (/[-+]$/.test(out) && /^[-+]/.test(next));
      out += (clash && statement[at - 1]?.kind !== "template" ? " " : "") + next;
    }
    // So that an error's place says something.
    out += "\n";
  }
  // An arrow's one parameter needs no parentheses.
  return out.replace(/(?<![\w$\])])\(([\w$]+)\)=>/g, "$1=>").trim();
}

/** The statements at the top. */
function statementsOf(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [];
  let depth = 0;
  let statement: Token[] = [];
  for (const [at, token] of tokens.entries()) {
    statement.push(token);
    if (/^[({[]$|\$\{$/.test(token.text)) depth++;
    if (/^[)}\]]/.test(token.text)) depth--;
    const begins = /^(?:async|function|class|const|let|export)$/.test(tokens[at + 1]?.text ?? "");
    if (depth > 0 || (at < tokens.length - 1 && !(begins && /^[;}]/.test(token.text)))) continue;
    statements.push(statement);
    statement = [];
  }
  if (statement.length > 0) throw new Error("the brackets don't match");
  return statements;
}

/** The names that the statements at the top declare. */
function declared(statements: readonly (readonly Token[])[]): Set<string> {
  return new Set(
    statements.map(
      (tokens) => tokens.find(({ kind, text }) => kind === "name" && !KEYWORDS.has(text))?.text ?? "",
    ),
  );
}

const SHORTER = new Map([
  ["undefined", "void 0"],
  ["true", "!0"],
  ["false", "!1"],
]);

function written({ kind, text, role }: Token, names: ReadonlyMap<string, string>): string {
  if (kind === "name" && role !== "property" && SHORTER.has(text)) return SHORTER.get(text) as string;
  const short = names.get(text);
  if (short === undefined || role === "property" || (kind !== "name" && kind !== "own")) return text;
  if (role === "shorthand") return `${text}:${short}`;
  return role === "exported" ? `${short} as ${text}` : short;
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  /** Of each open brace whether a template goes on behind it. */
  const braces: boolean[] = [];
  for (let at = 0; at < text.length; ) {
    let token = expressionAt(text, at, tokens.at(-1)) ?? tokenAt(text, at);
    if (token.text === "`" || (token.text === "}" && braces.pop() === true)) {
      token = {
        kind: "template",
        text: /^[`}](?:\\.|\$(?!\{)|[^`\\$])*(?:`|\$\{)/.exec(text.slice(at))?.[0] ?? "",
      };
      if (token.text.endsWith("${")) braces.push(true);
    } else if (token.text === "{") braces.push(false);
    if (token.text === "") throw new Error(`not understood: ${text.slice(at, at + 40)}`);
    at += token.text.length;
    if (token.kind !== "space") tokens.push(token);
  }
  return tokens;
}

function tokenAt(text: string, at: number): Token {
  TOKEN.lastIndex = at;
  const groups = Object.entries(TOKEN.exec(text)?.groups ?? {});
  const [kind, word = ""] = groups.find(([, found]) => found !== undefined) ?? ["", ""];
  return { kind, text: word };
}

/** A regular expression stands where a value may begin. */
function expressionAt(text: string, at: number, last: Token | undefined): Token | null {
  if (text[at] !== "/" || last === undefined) return null;
  const begins = last.kind === "template" || /^(?:[(,=:[!&|?{};]|=>|return|&&|\|\|)$/.test(last.text);
  if (!begins) return null;
  const [whole] = /^\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[])+\/[a-z]*/.exec(text.slice(at)) ?? [];
  return whole === undefined ? null : { kind: "expression", text: whole };
}

function assignRoles(tokens: readonly Token[]): void {
  const open: string[] = [];
  let classHead = false;
  for (const [at, token] of tokens.entries()) {
    const { kind, text } = token;
    const [before, after] = [tokens[at - 1]?.text ?? "", tokens[at + 1]?.text ?? ""];
    if (text === "class") classHead = true;
    if (kind === "template") {
      if (text.startsWith("}")) open.pop();
      if (text.endsWith("${")) open.push("template");
    } else if (/^[({[]$/.test(text)) open.push(text === "{" ? braceOf(before, classHead) : text);
    else if (/^[)}\]]$/.test(text)) open.pop();
    if (text === "{") classHead = false;
    if (kind === "name") token.role = roleOf(open.at(-1), before, after);
  }
}

function braceOf(before: string, classHead: boolean): string {
  if (classHead) return "class";
  if (before === "export") return "exports";
  return BEFORE_OBJECT.has(before) ? "object" : "block";
}

function roleOf(within: string | undefined, before: string, after: string): Role {
  if (before === "." || before === "?.") return "property";
  if (within === "class") return /^(?:[{};*]|async|get|set|static)$/.test(before) ? "property" : "binding";
  if (within === "exports") return "exported";
  if (within !== "object" || !/^[{,]$/.test(before)) return "binding";
  if (after === ":") return "property";
  return /^[,}=]$/.test(after) ? "shorthand" : "binding";
}

/** A short name for each binding and private member of `tokens`, that is nothing else `among` these or of `others`. */
function shortNames(
  tokens: readonly Token[],
  among: readonly Token[],
  ...others: readonly string[]
): Map<string, string> {
  const counts = new Map<string, number>();
  for (const { kind, text, role } of tokens) {
    const bound = kind === "own" || (kind === "name" && role !== "property");
    if (bound && !KEYWORDS.has(text) && !GLOBALS.has(text) && !(text in globalThis)) {
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  const taken = new Set([...KEYWORDS, ...others]);
  for (const { text, role } of among) if (role !== "property" && !counts.has(text)) taken.add(text);
  const made = new Map<string, string>();
  const next = { "": 0, "#": 0 };
  for (const [name] of [...counts].sort(([, a], [, b]) => b - a)) {
    const prefix = name.startsWith("#") ? "#" : "";
    let short = "";
    do short = prefix + letters(next[prefix]++);
    while (taken.has(short) || short in globalThis);
    made.set(name, short);
  }
  return made;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

function letters(n: number): string {
  const last = LETTERS[n % LETTERS.length] as string;
  return n < LETTERS.length ? last : letters(Math.floor(n / LETTERS.length) - 1) + last;
}
