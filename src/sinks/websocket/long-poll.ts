/** The same stream for clients that can't have a WebSocket: `GET path?channel=a&since=41&wait=25s`, answered as `sse` does. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { StreamHistory } from "../../component.ts";
import { answerError, answerJson } from "../../http/answer.ts";
import type { Clock } from "../../ports.ts";
import { parseWait, poll, pollJson } from "../sse/poll.ts";
import type { Access } from "../stream/access/access.ts";
import type { Verdict } from "../stream/access/admission.ts";
import { answerDenial } from "../stream/access/gate.ts";
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
