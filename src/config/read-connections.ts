/**
 * Connections: a broker named once. Their fields are laid under those of the sources and sinks that name them while the
 * file is read, so that nobody behind the configuration knows of them; what is wrong in one is told once, at its place.
 */
import type { ConnectionType } from "../component.ts";
import { text } from "./fields.ts";
import type { Filled } from "./fill.ts";
import { dotted, suggest } from "./problem.ts";
import type { Reader } from "./reader.ts";
import { type Components, componentSchema, connectionTypes, oneOfTypes } from "./schema.ts";
import { isMap, type Path, shapeOf } from "./walk.ts";

export interface ReadConnection {
  readonly name: string;
  readonly path: Path;
  /** Null where `type:` is missing or unknown. */
  readonly type: ConnectionType | null;
  /** False: what is wrong has been reported. */
  readonly sound: boolean;
  /** As written, with variables filled in. */
  readonly filled: Filled;
}

/** The connections of the file, and who named them. */
export class Connections {
  readonly #reader: Reader;
  readonly #all: readonly ReadConnection[];
  readonly #named = new Set<string>();

  constructor(reader: Reader, components: Components) {
    this.#reader = reader;
    this.#all = readConnections(reader, components);
  }

  /** What `value`, a source's or sink's at `path`, is with its connection's fields under its own. */
  lay(type: ConnectionType | null, value: unknown, path: Path, fill: (value: unknown) => Filled): Filled {
    const own = fill(value);
    if (type === null || !isMap(own.value) || own.value.connection === undefined) return own;
    const fields = shapeOf(type.schema).map(([key]) => key);
    const missing = fields.filter((key) => !isMap(own.value) || own.value[key] === undefined);
    const found = this.#find(type, own, path);
    return found === null ? withUnknown(own, path, missing) : this.#under(own, found, path, missing);
  }

  #find(type: ConnectionType, own: Filled, path: Path): ReadConnection | null {
    const at = [...path, "connection"];
    const name = isMap(own.value) ? own.value.connection : undefined;
    // A name that isn't text is told by the schema.
    if (typeof name !== "string" || own.unknown.has(dotted(at))) return null;
    const found = this.#all.find((one) => one.name === name);
    if (found === undefined) {
      const fitting = this.#all.filter((one) => one.type === type).map((one) => one.name);
      const remedy = suggest(name, fitting) ?? `name one of type ${type.type} under connections`;
      this.#reader.error(at, `there is no connection of this name`, remedy);
      return null;
    }
    this.#named.add(name);
    if (found.type !== null && found.type !== type) {
      this.#reader.error(
        at,
        `the connection ${name} is of type ${found.type.type}, and here it takes one of type ${type.type}`,
        `name one of type ${type.type}`,
      );
      return null;
    }
    return found.sound ? found : null;
  }

  #under(
    own: Filled,
    { filled, path: from }: ReadConnection,
    path: Path,
    missing: readonly string[],
  ): Filled {
    const given = isMap(filled.value) ? filled.value : {};
    const taken = missing.filter((key) => given[key] !== undefined);
    const value = { ...(own.value as object), ...Object.fromEntries(taken.map((key) => [key, given[key]])) };
    const origins = new Map(own.origins);
    const unknown = new Set(own.unknown);
    for (const key of taken) {
      const [here, there] = [
        [...path, key],
        [...from, key],
      ];
      this.#reader.merged.link(here, there);
      const moved = (at: string) => dotted(here) + at.slice(dotted(there).length);
      for (const [at, written] of filled.origins) if (isAt(at, there)) origins.set(moved(at), written);
      for (const at of filled.unknown) if (isAt(at, there)) unknown.add(moved(at));
    }
    return { value, origins, unknown };
  }

  warnOfUnused(): void {
    for (const { name, path } of this.#all) {
      if (this.#named.has(name)) continue;
      this.#reader.warn(path, "no source and no sink names this connection", "remove it, or name it", "key");
    }
  }
}

/** Whether a dotted path is this one, or lies below it. */
function isAt(at: string, path: Path): boolean {
  const base = dotted(path);
  return at === base || at.startsWith(`${base}.`) || at.startsWith(`${base}[`);
}

/** The connection's fields aren't known, which has been told: nothing more is said of them. */
function withUnknown(own: Filled, path: Path, fields: readonly string[]): Filled {
  return { ...own, unknown: new Set([...own.unknown, ...fields.map((key) => dotted([...path, key]))]) };
}

function readConnections(reader: Reader, components: Components): ReadConnection[] {
  const types = connectionTypes(components);
  const found = reader.merged.value.connections;
  if (!isMap(found) || types.length === 0) return [];
  return Object.entries(found).map(([name, written]) => {
    const path = ["connections", name];
    reader.checkName(path);
    const value = withType(reader, written, path);
    const type = types.find((one) => isMap(value) && one.type === value.type) ?? null;
    const schema = type ? componentSchema(type) : oneOfTypes(types);
    const { data, filled } = reader.parse<unknown>(schema, value, path);
    return { name, path, type, sound: data !== null, filled };
  });
}

/** With what `type:` says filled in: which fields there are depends on it. */
export function withType(reader: Reader, value: unknown, path: Path): unknown {
  if (!isMap(value) || typeof value.type !== "string") return value;
  return { ...value, type: reader.fill(text(), value.type, [...path, "type"]).value };
}
