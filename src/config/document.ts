/**
 * One configuration file as YAML 1.2, with the place of everything in it.
 *
 * Nothing is filled in before the parse, and what a parser's message says of the text is left out: it may be a secret.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  visit,
  type YAMLMap,
} from "yaml";
import { dotted, type Place, type Problems } from "./problem.ts";
import type { Path } from "./walk.ts";

/** Bounds on what a file may make of itself ("a billion laughs" is 10 aliases deep, 10^9 values wide). */
const MAX_ALIASES = 100;
const MAX_DEPTH = 64;

const QUOTE_IT = 'put quotes around a value that holds {{ }}: "{{ … }}"';

export interface SourceFile {
  readonly file: string;
  /** What the file holds, as plain values; an empty map for an empty file. */
  readonly value: Record<string, unknown>;
  /** The place of a value, or of its key; of the nearest thing around it where there is none. */
  place(path: Path, at?: "key" | "value"): Place;
  /** The place of a character within a string value, as far as it can be told. */
  placeWithin(path: Path, offset: number): Place;
  /** Paths whose value is broken and has been reported: what a later stage finds there is a consequence. */
  readonly broken: readonly Path[];
}

/** Null where the file can't be used any further; why is among the problems. */
export function parseFile(file: string, text: string, problems: Problems): SourceFile | null {
  try {
    return new YamlFile(file, text).check(problems);
  } catch (error) {
    // The parser and the visitor recurse: thousands of brackets in a row end here.
    if (!(error instanceof RangeError)) throw error;
    problems.error({ file, line: 1, column: 1 }, `is nested too deeply (more than ${MAX_DEPTH} levels)`);
    return null;
  }
}

class YamlFile implements SourceFile {
  readonly file: string;
  value: Record<string, unknown> = {};
  readonly broken: Path[] = [];
  readonly #lines = new LineCounter();
  readonly #text: string;
  readonly #document: Document.Parsed;

  constructor(file: string, text: string) {
    this.file = file;
    this.#text = text;
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      version: "1.2",
      merge: true,
      uniqueKeys: true,
      logLevel: "error",
    });
  }

  check(problems: Problems): SourceFile | null {
    if (this.#reportSyntax(problems)) return null;
    const usable = this.#reportNodes(problems);
    if (!usable) return null;
    const { contents } = this.#document;
    if (contents === null || (isScalar(contents) && contents.value === null)) return this;
    if (!isMap(contents)) {
      problems.error(
        this.#at(contents.range[0]),
        "the file is not a map",
        "begin with a key such as sources:",
      );
      return null;
    }
    try {
      this.value = this.#document.toJS({ maxAliasCount: MAX_ALIASES }) as Record<string, unknown>;
    } catch (error) {
      // What is left to go wrong after #reportNodes is the number of values that aliases stand for.
      if (!(error instanceof ReferenceError)) throw error;
      problems.error(
        { file: this.file, line: 1, column: 1 },
        "its aliases stand for too many values",
        `use fewer: an anchor of anchors may be used ${MAX_ALIASES} times in all`,
      );
      return null;
    }
    return this;
  }

  place(path: Path, at: "key" | "value" = "value"): Place {
    const { key, value } = this.#find(path);
    const node = at === "key" ? (key ?? value) : (value ?? key);
    return this.#at(node?.range?.[0] ?? 0);
  }

  placeWithin(path: Path, offset: number): Place {
    const { value } = this.#find(path);
    if (!isScalar(value) || !value.range) return this.place(path);
    const [start, end] = value.range;
    const written = this.#text.slice(start, end);
    if (value.type === Scalar.PLAIN && !written.includes("\n")) return this.#at(start + offset);
    const quoted = value.type === Scalar.QUOTE_SINGLE || value.type === Scalar.QUOTE_DOUBLE;
    if (quoted && !/\n|\\|''/.test(written)) return this.#at(start + 1 + offset);
    if (value.type === Scalar.BLOCK_LITERAL) return this.#at(withinBlock(written, start, offset));
    return this.place(path);
  }

  /** True when the text is no YAML, so that the rest can't be trusted. A duplicate key is reported and lived with. */
  #reportSyntax(problems: Problems): boolean {
    const { errors, warnings } = this.#document;
    for (const { code, pos } of errors) {
      if (code !== "DUPLICATE_KEY") continue;
      const key = /[\w.-]+/y.exec(this.#text.slice(pos[0], pos[0] + 100))?.[0];
      problems.error(
        this.#at(pos[0]),
        `the key ${key ? `"${key}" ` : ""}stands twice in one map`,
        "keep one of them",
      );
    }
    const first = errors.find((error) => error.code !== "DUPLICATE_KEY") ?? warnings[0];
    if (!first) return false;
    const line = this.#lines.linePos(first.pos[0]).line;
    const start = this.#lines.lineStarts[line - 1] ?? 0;
    const end = this.#lines.lineStarts[line] ?? this.#text.length;
    const unquoted = /(^|[:,[{]\s+)[^"'#]*\{\{/.test(this.#text.slice(start, end));
    problems.error(this.#at(first.pos[0]), describe(first.code, first.message), unquoted ? QUOTE_IT : null);
    return true;
  }

  /** Walks every node once: aliases to nothing, merges of what is no map, `{{ }}` without quotes, depth. */
  #reportNodes(problems: Problems): boolean {
    let sound = true;
    const fail = (node: Node, message: string, remedy: string | null) => {
      problems.error(this.#at(node.range?.[0] ?? 0), message, remedy);
      sound = false;
    };
    visit(this.#document, {
      Node: (_key, node, ancestors) => {
        if (ancestors.length <= MAX_DEPTH * 2) return;
        fail(node as Node, `is nested too deeply (more than ${MAX_DEPTH} levels)`, null);
        return visit.BREAK;
      },
      Alias: (_key, alias) => {
        if (alias.resolve(this.#document)) return;
        fail(
          alias,
          `the alias *${alias.source} has no anchor before it`,
          `write &${alias.source} at what it stands for`,
        );
      },
      Pair: (_key, pair, ancestors) => {
        const { key, value } = pair as Pair<Node, Node | null>;
        if (isMergeKey(key) && !this.#mergeable(value)) {
          fail(key, "<< takes a map, or an alias of one", null);
        }
        if (!isCollection(key)) return;
        const template = isMap(key) && key.flow;
        const path = pathOf(ancestors as (Node | Pair)[]);
        problems.error(
          this.#at(key.range?.[0] ?? 0),
          `${dotted(path)}: ${template ? "an unquoted {{ }} is a map to YAML, not a template" : "a key is not text"}`,
          template ? QUOTE_IT : null,
        );
        // The map that holds the broken key stands where the template was meant to stand.
        this.broken.push(path);
        return visit.SKIP;
      },
    });
    return sound;
  }

  #mergeable(value: unknown): boolean {
    const target = isAlias(value) ? value.resolve(this.#document) : value;
    if (isSeq(target)) return target.items.every((item) => !isSeq(item) && this.#mergeable(item));
    return isMap(target);
  }

  /** The key and value nodes at a path, or of the nearest thing around it; aliases and merges followed. */
  #find(path: Path): { key: Node | undefined; value: Node | undefined } {
    let key: Node | undefined;
    let value: Node | undefined = this.#document.contents ?? undefined;
    for (const part of path) {
      const holder: unknown = isAlias(value) ? value.resolve(this.#document) : value;
      if (isMap(holder)) {
        const pair = this.#pairOf(holder, part);
        if (!pair) break;
        key = isNode(pair.key) ? pair.key : undefined;
        value = isNode(pair.value) ? pair.value : undefined;
      } else if (isSeq(holder)) {
        const item = holder.items[Number(part)];
        if (!isNode(item)) break;
        key = item;
        value = item;
      } else break;
    }
    return { key, value };
  }

  #pairOf(map: YAMLMap, name: string | number): Pair | undefined {
    let merged: Pair | undefined;
    for (const pair of map.items) {
      if (isScalar(pair.key) && String(pair.key.value) === String(name)) return pair;
      if (!isMergeKey(pair.key)) continue;
      const sources = isSeq(pair.value) ? pair.value.items : [pair.value];
      for (const source of sources) {
        const target = isAlias(source) ? (source as Alias).resolve(this.#document) : source;
        if (isMap(target)) merged ??= this.#pairOf(target, name);
      }
    }
    return merged;
  }

  #at(offset: number): Place {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

/** `<<`: the parser makes a symbol of it where it merges. */
function isMergeKey(key: unknown): boolean {
  if (!isScalar(key)) return false;
  return key.value === "<<" || (typeof key.value === "symbol" && key.value.description === "<<");
}

/** The path of a node from its ancestors as `visit` hands them out. */
function pathOf(ancestors: readonly (Node | Pair | Document)[]): Path {
  const path: (string | number)[] = [];
  ancestors.forEach((ancestor, at) => {
    const next = ancestors[at + 1];
    if (isPair(ancestor)) path.push(isScalar(ancestor.key) ? String(ancestor.key.value) : "");
    else if (isSeq(ancestor) && next) path.push(ancestor.items.indexOf(next));
  });
  return path;
}

/** Where a character of a `|` block stands in the file: each line lost the block's indentation. */
function withinBlock(written: string, start: number, offset: number): number {
  const lines = written.split("\n");
  const indent = /^ */.exec(lines.slice(1).find((line) => line.trim() !== "") ?? "")?.[0].length ?? 0;
  let left = offset;
  let at = start + (lines[0]?.length ?? 0) + 1;
  for (const line of lines.slice(1)) {
    const length = Math.max(0, line.length - indent);
    if (left <= length) return at + Math.min(indent, line.length) + left;
    left -= length + 1;
    at += line.length + 1;
  }
  return start;
}

/** What the parser found, in words that hold nothing of the file's text. */
function describe(code: string, message: string): string {
  switch (code) {
    case "MULTIPLE_DOCS":
      return "the file holds more than one YAML document";
    case "BLOCK_AS_IMPLICIT_KEY":
      return "not valid YAML: a second key on one line (a value that holds ': ' needs quotes)";
    case "TAG_RESOLVE_FAILED":
      return "YAML tags (!…) are not known here";
    case "UNEXPECTED_TOKEN":
      return "not valid YAML: something stands here that can't (a missing quote, comma or bracket before it?)";
    case "BAD_DQ_ESCAPE":
      return "not valid YAML: an escape after \\ that double quotes don't know";
    case "MISSING_CHAR":
      return message.includes("quote")
        ? "not valid YAML: a quote is not closed"
        : `not valid YAML: ${lowerFirst(message)}`;
    case "BAD_ALIAS":
      return "not valid YAML: a malformed alias";
    default:
      return `not valid YAML: ${lowerFirst(message.replace(/(token in YAML stream).*/s, "$1"))}`;
  }
}

function lowerFirst(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1);
}
