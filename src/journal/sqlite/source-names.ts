/** Names of sources, interned: a row holds a small number instead of a name. */
import type { Statement, Storage } from "./storage.ts";

export class SourceNames {
  readonly #byName = new Map<string, number>();
  readonly #byId = new Map<number, string>();
  /** Given out in the present transaction: gone again if it is rolled back. */
  #fresh: string[] = [];
  readonly #select: Statement;
  readonly #insert: Statement | null;

  /** A reader's storage can't give out numbers. */
  constructor(storage: Storage, { readOnly = false } = {}) {
    this.#select = storage.prepare("SELECT id, name FROM source");
    this.#insert = readOnly ? null : storage.prepare("INSERT INTO source (id, name) VALUES (?, ?)");
    this.#load();
  }

  /** The number of a source; a new one gets its row in the present transaction. */
  intern(name: string): number {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const id = this.#byId.size + 1;
    this.#insert?.run(id, name);
    this.#byName.set(name, id);
    this.#byId.set(id, name);
    this.#fresh.push(name);
    return id;
  }

  /** Undefined when it has none (yet). */
  id(name: string): number | undefined {
    if (!this.#byName.has(name)) this.#load();
    return this.#byName.get(name);
  }

  readonly name = (id: number): string | undefined => {
    if (!this.#byId.has(id)) this.#load();
    return this.#byId.get(id);
  };

  committed(): void {
    if (this.#fresh.length > 0) this.#fresh = [];
  }

  rolledBack(): void {
    for (const name of this.#fresh) {
      this.#byId.delete(this.#byName.get(name)!);
      this.#byName.delete(name);
    }
    this.#fresh = [];
  }

  /** A reader finds names that the writer has added since. */
  #load(): void {
    for (const { id, name } of this.#select.all()) {
      this.#byName.set(String(name), Number(id));
      this.#byId.set(Number(id), String(name));
    }
  }
}
