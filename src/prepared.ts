/** What routing hands to delivery: one event as one target of a route gets it, made anew for every attempt (J8). */
import type { Event } from "./event.ts";

/** `absent_path`: `where` asks for a path that the event hasn't got. */
export type FilterReason = "match" | "where" | "absent_path";

/** Not for this target, a message, or what makes the event dead without an attempt. */
export type Prepared =
  | { readonly result: "filtered"; readonly reason: FilterReason }
  | {
      readonly result: "message";
      /** The event's own bytes, or the JSON of what the transform made. */
      readonly body: Uint8Array;
      readonly contentType: string | null;
      /** The target's template fields, rendered. */
      readonly fields: Readonly<Record<string, string>>;
    }
  | {
      readonly result: "dead";
      /** Lower snake case; docs/errors.md lists them. */
      readonly error: string;
      readonly expression: string;
      /** Where it stands: `where`, `transform.user.id`, `channel`. */
      readonly path: string;
      readonly message: string;
      /** What was thrown, where that is a defect of ours. */
      readonly cause?: unknown;
    };

/**
 * At once where nothing needs JSONata, for that path is the hot one; else a promise. Neither throws for what an event can
 * cause; they may with a LeatError of kind `unavailable`, which is no outcome: the lease goes back. `cause` is the
 * delivered event that this one answers, null where it has none.
 */
export type Prepare = (event: Event, cause: Event | null) => Prepared | Promise<Prepared>;
