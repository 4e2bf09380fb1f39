/** Notes: rows of the table `meta`, all of them in the main thread's memory, since they are few. */
import type { Notes } from "../journal.ts";
import type { Command } from "./group.ts";
import type { Storage } from "./storage.ts";

/** Before a note's name in `meta`. */
const PREFIX = "note ";

export type StoredNote = readonly [name: string, text: string];

export class SqliteNotes implements Notes {
  readonly #texts: Map<string, string>;
  readonly #command: (command: Command) => Promise<unknown>;

  constructor(start: readonly StoredNote[], command: (command: Command) => Promise<unknown>) {
    this.#texts = new Map(start);
    this.#command = command;
  }

  get(name: string): string | null {
    return this.#texts.get(name) ?? null;
  }

  async set(name: string, text: string): Promise<void> {
    await this.#command({ kind: "note", name, text });
    this.#texts.set(name, text);
  }
}

/** In the writer's thread. */
export function loadNotes(storage: Storage): StoredNote[] {
  const rows = storage.prepare("SELECT name, value FROM meta WHERE substr(name, 1, ?) = ?");
  return rows
    .all(PREFIX.length, PREFIX)
    .map(({ name, value }) => [String(name).slice(PREFIX.length), String(value)]);
}

/** In the writer's thread, within a transaction. */
export function writeNote(storage: Storage, name: string, text: string): void {
  storage.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").run(PREFIX + name, text);
}

/** What tells this journal from every other: made with the file. One made before there were marks goes by its birth. */
export function loadMark(storage: Storage): string {
  const meta = storage.prepare("SELECT value FROM meta WHERE name = ?");
  const mark = meta.get("mark")?.value;
  return typeof mark === "string" ? mark : Number(meta.get("created")?.value ?? 0).toString(36);
}
