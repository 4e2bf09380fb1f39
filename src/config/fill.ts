/**
 * Filling in `${VAR}`, `${VAR:-default}` and `${file:/path}`.
 *
 * It happens to values that YAML has already been parsed to, so that a secret can't inject YAML, and never in an
 * expression, where it would inject code. What comes out is text; where the schema takes no text, it becomes what the
 * schema takes.
 */
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type Merged, unreadable } from "./files.ts";
import { dotted, type Problems } from "./problem.ts";
import { childrenOf, type Field, isMap, kindsOf, type Path, step, wordsOf } from "./walk.ts";

/** A part of a string: text as it stands, or something to fill in. */
export type Piece =
  | { readonly text: string }
  | { readonly variable: string; readonly fallback: string | null }
  | { readonly file: string }
  | { readonly malformed: string };

const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;
/** A variable that holds a secret wherever it is used, as in a header of a sink's. Others are hosts, paths, names. */
const SECRET_NAME = /token|secret|passw|passphrase|credential|key$|auth$/i;
const MAX_SECRET_FILE_BYTES = 2 ** 20;

/** `$${`, or `${` up to its `}` (or to the end, where there is none). */
const TOKEN = /\$\$\{|\$\{([^}]*)(\}?)/g;

/** Takes a string apart. `$${` is a literal `${`. */
export function pieces(written: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const token of written.matchAll(TOKEN)) {
    if (token.index > at) found.push({ text: written.slice(at, token.index) });
    at = token.index + token[0].length;
    if (token[0] === `$\${`) found.push({ text: `\${` });
    else found.push(token[2] === "" ? { malformed: "has no } at its end" } : reference(token[1] as string));
  }
  if (at < written.length) found.push({ text: written.slice(at) });
  return found;
}

function reference(inner: string): Piece {
  if (inner.startsWith("file:")) {
    const file = inner.slice("file:".length).trim();
    return file === "" ? { malformed: "names no file" } : { file };
  }
  const variable = VARIABLE.exec(inner);
  if (!variable) return { malformed: "names no variable" };
  return { variable: variable[1] as string, fallback: variable[2] ?? null };
}

export interface Filled {
  readonly value: unknown;
  /** What values came from, by their dotted path: "${STRIPE_SECRET}". Their text is never shown. */
  readonly origins: ReadonlyMap<string, string>;
  /** Dotted paths whose value isn't known (reported, or not asked for): a stand-in is there. */
  readonly unknown: ReadonlySet<string>;
}

export interface FillSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** False: variables and files are taken as unknown, not as missing. */
  readonly readEnv: boolean;
}

/** Fills in a whole value that `fields` describe. Problems are reported; what is reported stands in as an example. */
export function fillIn(
  value: unknown,
  fields: readonly Field[],
  base: Path,
  from: FillSources,
  merged: Merged,
  problems: Problems,
): Filled {
  const origins = new Map<string, string>();
  const unknown = new Set<string>();

  const fillText = (written: string, at: readonly Field[], path: Path): unknown => {
    const parts = pieces(written);
    const got = parts.map((piece) => resolvePiece(piece, path));
    if (parts.every((piece) => "text" in piece)) return got.join("");
    origins.set(dotted(path), written);
    if (!got.includes(null)) return coerce(got.join(""), at);
    unknown.add(dotted(path));
    return standIn(at);
  };

  const resolvePiece = (piece: Piece, path: Path): string | null => {
    if ("text" in piece) return piece.text;
    const fail = (message: string, remedy: string | null): null => {
      problems.error(merged.place(path), `${dotted(path)}: ${message}`, remedy);
      return null;
    };
    if ("malformed" in piece) return fail(`a \${ that ${piece.malformed}`, "write $${ for a literal ${");
    if ("file" in piece) return from.readEnv ? secretFile(piece.file, path, fail) : null;
    const got = from.readEnv ? from.env[piece.variable] : undefined;
    // As in a shell, `:-` counts an empty variable as unset.
    if (got !== undefined && !(got === "" && piece.fallback !== null))
      return hidden(got, SECRET_NAME.test(piece.variable));
    if (piece.fallback !== null) return piece.fallback;
    if (!from.readEnv) return null;
    return fail(
      `the variable ${piece.variable} is not set`,
      `set it, give it a default as \${${piece.variable}:-…}, or check without variables by --no-env`,
    );
  };

  const secretFile = (name: string, path: Path, fail: (message: string, remedy: string | null) => null) => {
    const file = resolve(merged.folder(path), name);
    try {
      const found = statSync(file);
      // A pipe or a device would be waited for, by a daemon too, and has no size. A folder's error comes from reading it.
      if (!found.isFile() && !found.isDirectory())
        return fail(`the file ${name} is a pipe, a device or a socket`, "name a regular file");
      if (found.size > MAX_SECRET_FILE_BYTES) return fail(`the file ${name} is larger than 1 MiB`, null);
      // Editors and `echo` end a file with a line break that is no part of the secret.
      return hidden(readFileSync(file, "utf8").replace(/\r?\n$/, ""), true);
    } catch (error) {
      return fail(`the file ${name}: ${unreadable(error)}`, "or check without secrets by --no-env");
    }
  };

  const hidden = (text: string, secret: boolean): string => {
    if (secret) problems.hideSecret(text);
    else if (text.length >= 8) problems.hide(text);
    return text;
  };

  const fill = (at: unknown, fieldsHere: readonly Field[], path: Path): unknown => {
    if (fieldsHere.some((field) => field.flags.expression)) return at;
    if (typeof at === "string") return fillText(at, fieldsHere, path);
    const inner = childrenOf(at).map(([key, child]): [string | number, unknown] => [
      key,
      fill(
        child,
        fieldsHere.flatMap((field) => step(field, at, key)),
        [...path, key],
      ),
    ]);
    if (Array.isArray(at)) return inner.map(([, child]) => child);
    return isMap(at) ? Object.fromEntries(inner) : at;
  };

  return { value: fill(value, fields, base), origins, unknown };
}

/** Text as what the schema takes, where it takes no text: a number, true or false, a list from a comma list. */
export function coerce(text: string, fields: readonly Field[]): unknown {
  const kinds = kindsOf(fields);
  if (kinds.size === 0 || kinds.has("string") || kinds.has("anything")) return text;
  if (kinds.has("number") && text.trim() !== "" && Number.isFinite(Number(text))) return Number(text);
  if (kinds.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (kinds.has("array")) {
    const items = fields.flatMap((field) => step(field, [], 0));
    const parts = text.split(",").map((part) => part.trim());
    return parts.filter((part) => part !== "").map((part) => coerce(part, items));
  }
  return text;
}

/** Something that a field takes, so that the checks of what stands around it can go on. */
function standIn(fields: readonly Field[]): unknown {
  const kinds = kindsOf(fields);
  const example = fields.find((field) => field.flags.examples)?.flags.examples?.[0];
  if (example !== undefined) return example;
  const words = fields[0] ? wordsOf(fields[0]) : null;
  if (words?.[0] !== undefined) return words[0];
  if (kinds.has("string") || kinds.size === 0) return "unknown";
  if (kinds.has("number")) return 1;
  if (kinds.has("boolean")) return true;
  return kinds.has("array") ? [] : {};
}
