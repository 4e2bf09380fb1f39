/** How a stream can end, what its producer is told then, and the event that says so to everybody else. */
import type { Arrival } from "../../../component.ts";
import { packHeaders } from "../../../event.ts";
import { type IntakeHeaders, OF_WIRE } from "../headers.ts";
import {
  crowdedLines,
  malformed,
  notNow,
  overTotal,
  type Refusal,
  superseded,
  tooManyRefused,
  tooSlow,
} from "../refusal.ts";
import type { BodyEnd } from "./body-pieces.ts";
import { FAILED, FIRST_LINE } from "./request.ts";
import type { LineReport } from "./window.ts";

/**
 * Beside how its body can end:
 * - `crowded`: there is no memory for its lines; `idle`: no line came for too long; `refused`: too many of its lines can't
 *   be taken; `restart`: the source stops; `superseded`: its producer has come again with the same id; `unavailable`: the
 *   journal took nothing for too long.
 */
export type Cut = "crowded" | "idle" | "refused" | "restart" | "superseded" | "unavailable";

export type Outcome = BodyEnd | Cut;

/** When a producer should come back to a source that stops: its successor may be there already. */
const RESTART_MS = 1000;
const LATER_MS = 5000;

/** Null where there is nobody to tell, and where all is well. */
export function refusalOf(outcome: Outcome, idleMs: number): Refusal | null {
  switch (outcome) {
    case "end":
    case "aborted":
      return null;
    case "malformed":
      return malformed();
    case "too_large":
      return overTotal();
    case "crowded":
      return crowdedLines();
    case "idle":
      return tooSlow(idleMs);
    case "refused":
      return tooManyRefused();
    case "restart":
      return notNow("the source is stopping", RESTART_MS);
    case "superseded":
      return superseded();
    case "unavailable":
      return notNow("the events can't be stored", LATER_MS);
  }
}

/**
 * The type of the event that a stream leaves behind its lines. `failed`: why the producer says it failed, or null.
 * Superseded, a stream goes on in its successor.
 */
export function endingOf(
  outcome: Outcome,
  failed: string | null,
): { readonly type: string; readonly reason: string | null } | null {
  switch (outcome) {
    case "end":
      return failed === null
        ? { type: "stream.end", reason: null }
        : { type: "stream.failed", reason: failed };
    case "malformed":
    case "refused":
    case "too_large":
      return { type: "stream.failed", reason: outcome };
    case "superseded":
      return null;
    case "aborted":
      return { type: "stream.aborted", reason: "closed" };
    default:
      return { type: "stream.aborted", reason: outcome };
  }
}

/** What all events of one stream have in common. */
export interface StreamIdentity {
  /** The request's id: their key. */
  readonly id: string;
  readonly subject: string | null;
  readonly headers: IntakeHeaders;
  address(): string;
}

/** Of the request as a whole, untrue of one line. */
const OF_REQUEST = new Set([...OF_WIRE, FIRST_LINE, FAILED]);

/** Many JSON texts, one a line; and what `curl --data-binary` says of whatever it posts. */
const JSON_LINES = /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines|json)\b/i;
const FORM = /^application\/x-www-form-urlencoded\b/i;

/** The headers of every line: the request's, with the content type that one line has. */
export function packLineHeaders({ kept }: IntakeHeaders) {
  return packHeaders(
    kept.flatMap(([name, value]): [string, string][] => {
      const lower = name.toLowerCase();
      if (OF_REQUEST.has(lower)) return [];
      if (lower !== "content-type") return [[name, value]];
      if (FORM.test(value)) return [];
      return [[name, JSON_LINES.test(value) ? "application/json" : value]];
    }),
  );
}

/**
 * The event of a stream's end. A repeat of the whole request that ends at the same line is a duplicate; that a producer was
 * cut off is news each time, so it gets a new id.
 */
export function endingArrival(
  stream: StreamIdentity,
  { type, reason }: { readonly type: string; readonly reason: string | null },
  { last }: LineReport,
): Arrival {
  const { id, subject, headers } = stream;
  const kept = headers.kept.filter(([name]) => {
    const lower = name.toLowerCase();
    return !OF_REQUEST.has(lower) && lower !== "content-type";
  });
  const said = { stream: id, last, ...(reason === null ? {} : { reason }) };
  return {
    id: type === "stream.aborted" ? null : `${id}-${last}-${type.slice("stream.".length)}`,
    type,
    key: id,
    subject,
    headers: packHeaders([...kept, ["content-type", "application/json"]]),
    body: Buffer.from(JSON.stringify(said)),
    hops: headers.hops,
    address: () => stream.address(),
  };
}
