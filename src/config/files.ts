/** Finding the configuration files, and making one configuration of them. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseFile, type SourceFile } from "./document.ts";
import { dotted, type Place, type Problems } from "./problem.ts";
import { isMap, type Path } from "./walk.ts";

/** Where `leat` looks when it is told nothing. */
export const DEFAULT_PATHS = ["./leat.yaml", "/etc/leat/leat.yaml"];

const MAX_FILE_BYTES = 2 ** 20;

/** The maps of named things: these are put together from all files, anything else stands in one of them. */
export const NAMED_SECTIONS = ["connections", "sources", "sinks", "routes"] as const;

/** All files as one configuration. */
export interface Merged {
  readonly value: Record<string, unknown>;
  place(path: Path, at?: "key" | "value"): Place;
  placeWithin(path: Path, offset: number): Place;
  /** Has been reported already, there or above. */
  isBroken(path: Path): boolean;
  /** The folder that relative paths at this place count from. */
  folder(path: Path): string;
  /** What lies at or below `path` (three steps long) stands at `other`: a source's field that its connection has. */
  link(path: Path, other: Path): void;
}

/** How many steps lead to a field of a named thing: section, name, field. */
const LINK_STEPS = 3;

/** The files meant by what was given: files as they are, folders by their `*.yaml` and `*.yml`. */
export function findFiles(paths: readonly string[], problems: Problems): string[] {
  if (paths.length === 0) {
    const found = DEFAULT_PATHS.find((path) => existsSync(path));
    if (found) return [found];
    const names = DEFAULT_PATHS.join(" nor ");
    problems.error(
      { file: "leat.yaml", line: 0, column: 0 },
      `there is neither ${names}`,
      "name a file with --config, or write one with leat init",
    );
    return [];
  }
  return [...new Set(paths.flatMap((path) => filesOf(path, problems)))];
}

function filesOf(path: string, problems: Problems): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    // A mounted ConfigMap keeps its former versions in folders that begin with a dot.
    const names = readdirSync(path).filter((name) => /^[^.].*\.ya?ml$/.test(name));
    if (names.length > 0) return names.toSorted().map((name) => join(path, name));
    problems.error({ file: path, line: 0, column: 0 }, "no *.yaml or *.yml file is in this folder");
  } catch (error) {
    problems.error({ file: path, line: 0, column: 0 }, unreadable(error));
  }
  return [];
}

/** What kept a file from being read, for people. */
export function unreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "may not be read by this user";
  if (code === "EISDIR") return "is a folder, not a file";
  return `can't be read (${code || "unknown error"})`;
}

/** Null where a file can't be used at all, or none holds anything, so that what follows from the others would mislead. */
export function readFiles(files: readonly string[], problems: Problems): Merged | null {
  const read = files.map((file) => readFile(file, problems));
  const whole = read.filter((file) => file !== null);
  if (whole.length !== files.length || files.length === 0 || !holdAny(whole, problems)) return null;
  return merge(whole, problems);
}

/**
 * A file of which nothing is left (a write that a full disk cut off, an editor between two steps) isn't taken for the
 * wish to have nothing: a reload would remove everything. One among others may be.
 */
function holdAny(files: readonly SourceFile[], problems: Problems): boolean {
  const empty = files.filter(({ value }) => Object.keys(value).length === 0);
  for (const { file } of empty) {
    const place = { file, line: 1, column: 1 };
    if (empty.length < files.length)
      problems.warn(place, "the file is empty", "remove it if it is meant to be");
    else
      problems.error(place, "the file is empty", "write sources, sinks and routes, or start with leat init");
  }
  return empty.length < files.length;
}

function readFile(file: string, problems: Problems): SourceFile | null {
  const place = { file, line: 0, column: 0 };
  let text: string;
  try {
    const bytes = statSync(file).size;
    if (bytes > MAX_FILE_BYTES) {
      problems.error(place, "is larger than 1 MiB", "split it: --config takes a folder, or several files");
      return null;
    }
    text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    problems.error(place, error instanceof TypeError ? "is not UTF-8 text" : unreadable(error));
    return null;
  }
  return parseFile(file, text, problems);
}

/** Puts files together: names have to be unique across them, and a section of settings stands in one. */
function merge(files: readonly SourceFile[], problems: Problems): Merged {
  const value: Record<string, unknown> = {};
  const owners = new Map<string, SourceFile>();
  const claim = (file: SourceFile, path: Path): boolean => {
    const other = owners.get(dotted(path));
    if (!other) {
      owners.set(dotted(path), file);
      return true;
    }
    const { file: where, line } = other.place(path, "key");
    const what =
      path.length > 1 ? `${dotted(path)}: the name is taken` : `${dotted(path)} stands in two files`;
    problems.error(file.place(path, "key"), what, `the other is at ${where}:${line}`);
    return false;
  };

  for (const file of files) {
    for (const [section, content] of Object.entries(file.value)) {
      if (section.startsWith("x-")) continue;
      if (!isNamedSection(section) || !(isMap(content) || content === null)) {
        if (claim(file, [section])) define(value, section, content);
        continue;
      }
      if (!isMap(value[section])) define(value, section, {});
      owners.set(section, owners.get(section) ?? file);
      for (const [name, definition] of Object.entries(content ?? {})) {
        if (claim(file, [section, name])) define(value[section] as Record<string, unknown>, name, definition);
      }
    }
  }

  const owner = (path: Path): SourceFile =>
    owners.get(dotted(path.slice(0, 2))) ?? owners.get(dotted(path.slice(0, 1))) ?? (files[0] as SourceFile);
  const links = new Map<string, Path>();
  const real = (path: Path): Path => {
    if (path.length < LINK_STEPS || links.size === 0) return path;
    const other = links.get(dotted(path.slice(0, LINK_STEPS)));
    return other ? [...other, ...path.slice(LINK_STEPS)] : path;
  };
  const at = <A extends readonly unknown[], R>(look: (file: SourceFile, path: Path, ...rest: A) => R) => {
    return (path: Path, ...rest: A): R => look(owner(real(path)), real(path), ...rest);
  };
  return {
    value,
    place: at((file, path, which?: "key" | "value") => file.place(path, which)),
    placeWithin: at((file, path, offset: number) => file.placeWithin(path, offset)),
    isBroken: at((file, path) =>
      file.broken.some((broken) => broken.every((key, step) => path[step] === key)),
    ),
    folder: at(({ file }) => dirname(resolve(file))),
    link: (path, other) => links.set(dotted(path), other),
  };
}

function isNamedSection(section: string): boolean {
  return (NAMED_SECTIONS as readonly string[]).includes(section);
}

/** As an own property even for `__proto__`. */
function define(map: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
}
