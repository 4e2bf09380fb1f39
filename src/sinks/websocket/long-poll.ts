/** The same stream for clients that can't have a WebSocket: `GET path?channel=a&since=41&wait=25s`, answered as `sse` does. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ChannelSelection, StreamHistory } from "../../component.ts";
import { answerError, answerJson } from "../../http/answer.ts";
import { escapePattern } from "../../pattern.ts";
import type { Clock } from "../../ports.ts";
import { parseWait, poll, pollJson } from "../sse/poll.ts";
import type { Access } from "../stream/access/access.ts";
import { type Denial, later, type Verdict } from "../stream/access/admission.ts";
import { answerDenial } from "../stream/access/gate.ts";
import type { Session } from "../stream/access/session.ts";
import type { Broadcast } from "../stream/broadcast.ts";
import { selectChannels } from "../stream/channels.ts";
import { askedPosition } from "../stream/position.ts";

export interface LongPollOptions {
  readonly access: Access;
  readonly broadcast: Broadcast;
  readonly history: StreamHistory;
  readonly clock: Clock;
  readonly maxChannels: number;
  /** Aborts when the stream ends: what there is is answered. */
  readonly ending: AbortSignal;
}

/** What it may read was changed while the judge thought. */
const CHANGED = later(503, "try_again", "Not now: try again in a moment.", 1000);

export function wantsJson({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes("application/json") === true;
}

export async function longPoll(
  { access, broadcast, history, clock, maxChannels, ending }: LongPollOptions,
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  verdict: Extract<Verdict, { admitted: true }>,
): Promise<void> {
  response.setHeader("cache-control", "private, no-store");
  const waitMs = parseWait(query);
  if (waitMs === null) {
    answerError(request, response, 400, "bad_wait", "wait is a duration of at most 25s, such as 10s.");
    return;
  }
  const selected = selectChannels(verdict.admission, query.getAll("channel"), { most: maxChannels });
  if (!selected.allowed) {
    answerError(request, response, selected.status, selected.code, selected.message);
    return;
  }
  const gone = new AbortController();
  const cut = () => gone.abort();
  const entered = access.enter(verdict, { changed: cut, ended: cut });
  if (!entered.entered) {
    broadcast.counters.refused++;
    answerDenial(request, response, entered.denial);
    return;
  }
  response.on("close", () => {
    entered.session.close();
    cut();
  });
  const denial = await refusedBy(entered.session, selected.selection);
  if (response.destroyed) return;
  if (denial !== null || gone.signal.aborted) {
    answerDenial(request, response, denial ?? CHANGED);
    return;
  }
  const { position, gap } = await broadcast.resolve(askedPosition(undefined, query));
  const { feed } = broadcast;
  const { selection } = selected;
  const signal = AbortSignal.any([gone.signal, ending]);
  const answer = gap
    ? { events: [], next: position, gap }
    : await poll({ selection, position, feed, history, clock, waitMs, signal });
  broadcast.counters.frames += answer.events.length;
  answerJson(response, 200, pollJson(answer));
}

/** The first no of a judge that wants to be asked about each channel. */
async function refusedBy(session: Session, { exact, patterns }: ChannelSelection): Promise<Denial | null> {
  const names = [...exact.map(escapePattern), ...patterns];
  const denials = await Promise.all(names.map((name) => session.ask("subscribe", name)));
  return denials.find((denial) => denial !== null) ?? null;
}
