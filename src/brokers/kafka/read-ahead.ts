/**
 * Asks a broker for what comes next while what it has given is still being taken: kafkajs fetches again only once all of
 * the last fetch is dealt with, which is once it is on disk.
 *
 * kafkajs knows nothing of it. When it asks for just what was asked for ahead, it gets that answer; when it asks for
 * anything else (a partition was paused, the group has shared out anew, a batch was not taken to its end) the answer is
 * dropped. So order, places and rebalances are as they would be without. At most one answer more is in memory.
 */

export interface FetchRequest {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string }[];
  }[];
}

/** As `kafkajs-mends.ts` reads it; of a version from before record batches it has no `lastStableOffset`. */
export interface FetchAnswer {
  readonly responses: readonly {
    readonly topicName: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly lastStableOffset?: string;
      readonly messages: readonly { readonly offset: string }[];
    }[];
  }[];
}

type Ask<R, A> = (request: R) => Promise<A>;

/** Of one broker's connection. */
export class ReadAhead<R extends FetchRequest, A extends FetchAnswer> {
  #ahead: { readonly request: R; readonly answer: Promise<A | null> } | null = null;

  async fetch(request: R, ask: Ask<R, A>): Promise<A> {
    const ahead = this.#ahead;
    this.#ahead = null;
    const early = ahead !== null && asksTheSame(ahead.request, request) ? await ahead.answer : null;
    const answer = early ?? (await ask(request));
    const next = requestAfter(request, answer);
    // What fails ahead of its time is asked for again in its time, and fails then.
    if (next !== null) this.#ahead = { request: next, answer: ask(next).catch(() => null) };
    return answer;
  }
}

/**
 * What is asked for once all of the answer is taken. Null where there is nothing yet: the broker would let that wait, and
 * with it whatever is asked for behind it.
 */
export function requestAfter<R extends FetchRequest>(request: R, { responses }: FetchAnswer): R | null {
  const places = new Map<string, string>();
  let more = false;
  for (const { topicName, partitions } of responses) {
    for (const { partition, messages, lastStableOffset = "-1" } of partitions) {
      const last = messages.at(-1);
      if (last === undefined) continue;
      const next = Number(last.offset) + 1;
      places.set(`${topicName}/${partition}`, String(next));
      more ||= next < Number(lastStableOffset);
    }
  }
  if (!more) return null;
  const topics = request.topics.map(({ topic, partitions }) => ({
    topic,
    partitions: partitions.map((asked) => ({
      ...asked,
      fetchOffset: places.get(`${topic}/${asked.partition}`) ?? asked.fetchOffset,
    })),
  }));
  return { ...request, topics };
}

function asksTheSame(one: FetchRequest, other: FetchRequest): boolean {
  const places = new Set(placesOf(one));
  const others = placesOf(other);
  return places.size === others.length && others.every((place) => places.has(place));
}

function placesOf({ topics }: FetchRequest): string[] {
  return topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, fetchOffset }) => `${topic}/${partition}@${fetchOffset}`),
  );
}
