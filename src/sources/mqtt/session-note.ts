/**
 * What the source knows of its session at the broker, written down, since a broker tells nobody which filters a session
 * has: a filter that was taken out of the configuration would go on for ever, in a process that never heard of it.
 */
import type { SourceHost } from "../../component.ts";
import { LeatError } from "../../errors.ts";

export interface SessionNote {
  /** All that the session may have at the broker. */
  readonly filters: readonly string[];
  /** The broker granted all of them, at this QoS; null: not known. */
  readonly granted: number | null;
}

/** Nothing is known: the session, if there is one, isn't ours. */
const UNKNOWN: SessionNote = { filters: [], granted: null };

export class SessionNotes {
  readonly #host: SourceHost;
  /** Which session it is about: another broker or client id has another. */
  readonly #session: string;
  #note: SessionNote;

  constructor(host: SourceHost, session: string) {
    this.#host = host;
    this.#session = session;
    this.#note = read(host.noted(), session);
  }

  get current(): SessionNote {
    return this.#note;
  }

  /**
   * Resolves once it is on disk. Where the journal takes nothing now it is only remembered: at worst a filter that is
   * taken out of the configuration meanwhile isn't found after a restart.
   */
  async write(note: SessionNote): Promise<void> {
    const same = note.granted === this.#note.granted && sameFilters(note.filters, this.#note.filters);
    this.#note = note;
    if (same) return;
    try {
      await this.#host.note(JSON.stringify({ session: this.#session, ...note }));
    } catch (error) {
      if (!(error instanceof LeatError) || error.kind !== "unavailable") throw error;
      this.#host.log.warn(
        { err: error },
        "what the broker's session subscribes to could not be written down",
      );
    }
  }
}

export function sameFilters(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((filter) => right.includes(filter));
}

/** What can't be read, as what another version wrote, is nothing. */
function read(text: string | null, session: string): SessionNote {
  if (text === null) return UNKNOWN;
  try {
    const found = JSON.parse(text) as Partial<SessionNote & { session: string }>;
    const { filters, granted } = found;
    if (found.session !== session || !Array.isArray(filters)) return UNKNOWN;
    return {
      filters: filters.filter((filter) => typeof filter === "string"),
      granted: typeof granted === "number" ? granted : null,
    };
  } catch {
    return UNKNOWN;
  }
}
