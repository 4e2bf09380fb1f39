/** JSONata's syntax tree, as far as we look at it. */

export interface Node {
  readonly type: string;
  readonly value?: unknown;
  readonly position?: number;
  readonly steps?: readonly Node[];
  readonly lhs?: Node;
  readonly rhs?: Node;
  readonly expressions?: readonly Node[];
  readonly procedure?: Node;
  readonly arguments?: readonly Node[];
  readonly group?: unknown;
  readonly predicate?: unknown;
  readonly stages?: unknown;
}

/** Visits every node, each before those inside it, and goes inside where the visitor returns true. */
export function walk(root: unknown, visit: (node: Node) => boolean): void {
  const seen = new Set<object>();
  const go = (item: unknown): void => {
    if (typeof item !== "object" || item === null || item instanceof RegExp || seen.has(item)) return;
    seen.add(item);
    if ("type" in item && typeof item.type === "string" && !visit(item as Node)) return;
    for (const inner of Object.values(item)) go(inner);
  };
  go(root);
}
