/**
 * What came and was not taken: kept so that a person can see it (J2), counted, and told as `leat.refused`, at most
 * once a minute per source and reason, so that a flood of forged requests can't become a flood of events. What a broker
 * gave us is told each time, and all of it: there the event is the proof that nothing was lost in silence.
 */
import type { NewRefusal } from "../component.ts";
import { type PackedHeaders, textOf, unpackHeaders } from "../event.ts";
import type { History } from "../journal/journal.ts";
import type { Clock } from "../ports.ts";
import type { AppendOwnEvent, RaiseEvent } from "./own-events.ts";
import type { IntakeCounter } from "./source-host.ts";

const QUIET_MS = 60_000;

export interface Refusals {
  /** Never fails, never waits. */
  refuse(refusal: NewRefusal): void;
  /** Resolves once its event is on disk; rejects as the journal's `append` does, having kept nothing. */
  keepRefused(refusal: NewRefusal): Promise<void>;
}

export interface RefusalsOptions {
  readonly history: Pick<History, "refuse">;
  readonly raise: RaiseEvent;
  readonly append: AppendOwnEvent;
  readonly clock: Clock;
  readonly counter: Pick<IntakeCounter, "refused">;
}

export function createRefusals({ history, raise, append, clock, counter }: RefusalsOptions): Refusals {
  /** Sources are of the configuration and reasons of the code, so this stays small. */
  const quiet = new Map<string, { until: number; unsaid: number }>();

  return {
    refuse(refusal) {
      const { source, reason, address, detail } = refusal;
      history.refuse(refusal);
      counter.refused(source, reason);
      const name = `${source}\n${reason}`;
      const now = clock.monotonic();
      const last = quiet.get(name);
      if (last !== undefined && now < last.until) {
        last.unsaid++;
        return;
      }
      quiet.set(name, { until: now + QUIET_MS, unsaid: 0 });
      raise("leat.refused", source, { source, reason, address, detail, sinceLast: last?.unsaid ?? 0 });
    },

    async keepRefused({ key = null, headers, ...refusal }) {
      const { source, reason, address, detail, body } = refusal;
      await append("leat.refused", source, {
        source,
        reason,
        address,
        detail,
        key: key === null ? null : shortened(key),
        headers: headers === undefined ? {} : headersShown(headers),
        ...bodyShown(body),
      });
      history.refuse(refusal);
      counter.refused(source, reason);
    },
  };
}

/** Bounds on what is shown of a refused record: it may be its headers or its key that were too large. */
const SHOWN_HEADERS = 32;
const SHOWN_CHARACTERS = 256;

function shortened(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}…` : text;
}

function headersShown(packed: PackedHeaders): Record<string, string> {
  const shown: [string, string][] = unpackHeaders(packed)
    .slice(0, SHOWN_HEADERS)
    .map(([name, value]) => [
      shortened(name),
      shortened(textOf(value) ?? Buffer.from(value).toString("base64")),
    ]);
  return Object.fromEntries(shown);
}

/** The first bytes of the body, named as in CloudEvents. A character that was cut in the middle makes it no text. */
function bodyShown(body: Uint8Array | null): { data: string } | { data_base64: string } | object {
  if (body === null) return {};
  const text = textOf(body);
  return text === null ? { data_base64: Buffer.from(body).toString("base64") } : { data: text };
}
