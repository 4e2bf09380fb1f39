/**
 * What the main thread and the writer say to each other: one group in, one commit, one answer out. Plain data that
 * survives structured clone; bodies travel packed in one buffer per group and never come back.
 */
import type { NewRefusal } from "../../component.ts";
import type { Seq } from "../../event.ts";
import type { Counts, SinkState, SubscriptionDefinition } from "../journal.ts";
import type { PackedEvents } from "./packed-events.ts";

/** A waiting delivery's row: exists only while the cursor has passed the event and it is not settled, or it is a replay. */
export interface DeliveryRow {
  readonly seq: Seq;
  readonly replay: number;
  /**
   * - `leased`: in flight when the cursor passed it; after a restart it is tried again.
   * - `retrying`: waits for `due`.
   * - `parked`: waits for its key's head.
   */
  readonly state: "leased" | "retrying" | "parked";
  readonly key: string | null;
  readonly attempts: number;
  readonly firstAttemptAt: number | null;
  /** Wall clock, ms; loaded as min(due, now + delay). */
  readonly due: number | null;
  readonly delay: number | null;
}

/** What moves between an account's columns. In flight is memory's: on disk a leased event is still pending or retrying. */
export interface AccountDelta extends Omit<Counts, "inFlight"> {
  readonly route: string;
  /** For replays the second set of columns. */
  readonly replay: boolean;
  /** Events from before the route's start that were read for the first time; the others count when they are appended. */
  readonly accepted: number;
  /** Leases that ended, by where they came from: what the main thread takes out of *in flight*. The writer ignores it. */
  readonly endedPending: number;
  readonly endedRetrying: number;
}

export interface AttemptRow {
  readonly seq: Seq;
  readonly replay: number;
  readonly n: number;
  readonly at: number;
  readonly ms: number;
  readonly outcome: string;
  readonly status: number | null;
  readonly error: string | null;
  readonly message: string | null;
  readonly answer: Uint8Array | null;
}

export interface DeadRow {
  readonly seq: Seq;
  readonly replay: number;
  readonly route: string;
  readonly at: number;
  readonly error: string;
  readonly message: string;
  readonly attempts: number;
  /** The key that the dead letter keeps (`on_dead: hold`) until a person acts, else null. */
  readonly holds: string | null;
}

/** All that one subscription settled since its last delta. Deltas of one subscription add up (`DeltaBuilder.prepend`). */
export interface SubscriptionDelta {
  /** `subscription.id` in the file. */
  readonly subscription: number;
  /** Every owed event at or below it is settled or has a row. */
  readonly cursor: Seq;
  readonly accounts: readonly AccountDelta[];
  readonly put: readonly DeliveryRow[];
  readonly remove: readonly { readonly seq: Seq; readonly replay: number }[];
  readonly attempts: readonly AttemptRow[];
  /** The writer copies the event (and its cause) beside it in the same commit. */
  readonly dead: readonly DeadRow[];
  readonly expired: readonly { readonly from: Seq; readonly to: Seq; readonly reason: string }[];
  /** After an unclean stop: the seq about to be evaluated, recorded before it is. */
  readonly suspect: Seq | null;
  /** Suspects whose evaluation ended. */
  readonly cleared: readonly Seq[];
  /** Dead letters whose replay went well: they hold their keys no longer. */
  readonly freed: readonly Seq[];
  /** A stream's index has got so much of what these routes own of before they joined it (`RouteSpans.unindexed`). */
  readonly indexed?: readonly { readonly routes: readonly string[]; readonly through: Seq }[];
}

/** Rare commands, each a commit of its own between two groups. */
export type Command =
  | {
      readonly kind: "reconcile";
      readonly definitions: readonly SubscriptionDefinition[];
      readonly now: number;
    }
  | { readonly kind: "replay"; readonly seq: Seq; readonly subscription: string; readonly now: number }
  /** Removes the dead letters of a subscription; what is owed is purged by its settlements. */
  | { readonly kind: "purge"; readonly subscription: string }
  /** Replaces a note (`notes.ts`). */
  | { readonly kind: "note"; readonly name: string; readonly text: string };

export interface Group {
  readonly number: number;
  /** Wall clock of the main thread, ms. */
  readonly now: number;
  /** Sent after a full disk, everything that failed being in it again: until it comes the writer refuses what left before. */
  readonly retry: boolean;
  /** What sources append, then from `raisedFrom` on what the deltas raise: those are committed with the deltas or not at all. */
  readonly appends: PackedEvents;
  readonly raisedFrom: number;
  readonly deltas: readonly SubscriptionDelta[];
  readonly sinks: readonly { readonly sink: string; readonly state: SinkState }[];
  readonly refusals: readonly (NewRefusal & { readonly at: number; readonly count: number })[];
}

export type GroupResult =
  | {
      readonly number: number;
      readonly ok: true;
      /** Fresh events got `firstSeq`, `firstSeq + 1`, … in order; only the others are listed. */
      readonly firstSeq: Seq;
      readonly duplicates: readonly {
        readonly index: number;
        readonly seq: Seq;
        readonly differs: boolean;
      }[];
      /** Appends refused one by one after the group failed as a whole: index → why. */
      readonly refused: readonly { readonly index: number; readonly message: string }[];
    }
  | {
      readonly number: number;
      readonly ok: false;
      readonly failure: "full" | "storage" | "internal";
      readonly message: string;
    };
