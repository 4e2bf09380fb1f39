/** Whether a `where` said no because what it asks for isn't there: a misspelt path filters everything, in silence. */
import { readPath } from "./path.ts";
import { compileShortcut, plainPath, truth } from "./shortcut.ts";
import { type Node, walk } from "./syntax.ts";

export type Misses = (scope: object) => boolean;

/**
 * The predicate for an expression: given that it yielded nothing or false, was a path that it asked for absent? Behind
 * an `and` only what was reached counts (`type = "a" and body.x > 5` misses nothing in an event of another type); of an
 * `or`, all sides. What stands in filters, functions of one's own and `$exists` is about something else.
 */
export function compileMisses(node: Node): Misses {
  const [only, ...others] = node.type === "block" ? (node.expressions ?? []) : [];
  if (only !== undefined && others.length === 0) return compileMisses(only);
  if (node.type === "binary" && node.lhs !== undefined && node.rhs !== undefined) {
    const [left, right] = [compileMisses(node.lhs), compileMisses(node.rhs)];
    if (node.value === "or") return (scope) => left(scope) && right(scope);
    if (node.value === "and") return behindAnd(node.lhs, left, right);
  }
  const paths = askedPaths(node);
  return (scope) => paths.some((path) => !isPresent(scope, path));
}

function behindAnd(node: Node, left: Misses, right: Misses): Misses {
  const shortcut = compileShortcut(node);
  return (scope) => {
    const held = shortcut === null ? null : truth(shortcut(scope));
    // Where only JSONata could tell which side it was, only the first one is sure to have been asked.
    return held === true ? right(scope) : left(scope);
  };
}

function askedPaths(root: Node): (readonly string[])[] {
  const paths: (readonly string[])[] = [];
  walk(root, (node) => {
    if (node.type === "path") {
      const path = plainPath(node);
      if (path !== null) paths.push(path);
      return false;
    }
    const isExists = node.type === "function" && node.procedure?.value === "exists";
    return node.type !== "lambda" && !isExists;
  });
  return paths;
}

/** A list on the way has what any of its items has. */
function isPresent(value: unknown, names: readonly string[]): boolean {
  const [name, ...rest] = names;
  if (name === undefined) return value !== undefined;
  if (Array.isArray(value)) return value.some((item) => isPresent(item, names));
  return typeof value === "object" && value !== null && isPresent(readPath(value, [name]), rest);
}
