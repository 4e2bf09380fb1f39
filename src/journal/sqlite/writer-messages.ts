/** What the main thread and the writer's thread say to each other beside groups. Messages are handled in order. */
import type { Seq } from "../../event.ts";
import type { JournalTuning } from "../journal.ts";
import type { ClockMark } from "./clock-guard.ts";
import type { Command, Group, GroupResult } from "./group.ts";
import type { StoredNote } from "./notes.ts";
import type { PackedEvents } from "./packed-events.ts";
import type { SpaceReason } from "./space.ts";
import type { CommandResult } from "./writer.ts";

export type ToWriter =
  | { readonly kind: "group"; readonly group: Group }
  | { readonly kind: "command"; readonly number: number; readonly command: Command }
  /** About once a second: retention, space, checkpoint; answered by `state`. */
  | {
      readonly kind: "tick";
      readonly now: number;
      /** Whether the wall clock can be trusted. */
      readonly trusted: boolean;
      readonly mark: ClockMark;
    }
  | { readonly kind: "configure"; readonly tuning: JournalTuning }
  | { readonly kind: "ping"; readonly number: number }
  /** `clean` false: nothing was worked off, so that the next start finds the last unclean stop still to be looked at. */
  | { readonly kind: "close"; readonly mark: ClockMark; readonly clean: boolean };

export type FromWriter =
  | { readonly kind: "ready"; readonly start: WriterStart }
  /** Of one group or of several that were committed together, in their order; how long all of it took. */
  | { readonly kind: "results"; readonly results: readonly GroupResult[]; readonly seconds: number }
  | { readonly kind: "commanded"; readonly number: number; readonly result: CommandAnswer }
  | { readonly kind: "state"; readonly state: WriterState }
  | { readonly kind: "pong"; readonly number: number }
  | { readonly kind: "closed" }
  /** Opening failed; the thread ends. */
  | { readonly kind: "refused"; readonly error: PlainError };

/** An error as it passes between threads. */
export interface PlainError {
  readonly kind: "refused" | "damaged" | "storage" | "internal" | "unavailable" | "configuration";
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
}

export type CommandAnswer =
  | { readonly ok: true; readonly value: unknown; readonly through: Seq; readonly appended: PackedEvents }
  | {
      readonly ok: false;
      readonly failure: Exclude<CommandResult, { ok: true }>["failure"];
      readonly error: PlainError;
    };

export interface WriterStart {
  readonly newest: Seq;
  readonly state: WriterState;
  /** False: the last process ended without closing. */
  readonly clean: boolean;
  /** As the last process left it; null in a new journal. */
  readonly mark: ClockMark | null;
  /** What `LedgerStore.load` returned. */
  readonly ledger: unknown;
  readonly notes: readonly StoredNote[];
  /** What tells this journal from every other. */
  readonly journalMark: string;
  /** Sinks' durable states, as JSON, by name. */
  readonly sinks: readonly { readonly name: string; readonly state: string }[];
}

export type ClosedReason = SpaceReason | "journal_bound";

export interface WriterState {
  readonly oldest: Seq;
  /** Why the writer wants intake closed; null when it doesn't. */
  readonly closed: ClosedReason | null;
  readonly dedupeIds: number;
  readonly dedupeEvictedEarly: number;
  readonly keptBytes: number;
  readonly freeBytes: number;
  /** So many more should be free: what is settled is removed before its time. */
  readonly wantedBytes: number;
  readonly fileBytes: number;
  readonly walBytes: number;
}
