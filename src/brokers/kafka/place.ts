/**
 * Where a group begins that wants no past (`start: latest`): at the end each partition has when it first comes.
 *
 * That place is committed at once, for all partitions: one that is quiet for days would else have no place at the next
 * start, and what came in between would be passed over. So a group's leader commits for all of them, the others wait for
 * it; and a partition without a place in a topic where others have one was added later: it is read from its beginning.
 */
import type { Consumer, Kafka } from "kafkajs";
import type { Clock } from "../../ports.ts";

export interface PlaceOptions {
  readonly group: string;
  /** Ours, of topics that want no past. */
  readonly partitions: ReadonlyMap<string, readonly number[]>;
  /** The group's leader. */
  readonly leads: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How often and how long a member looks for the leader's commit, in ms. One that isn't a Leat makes none. */
const LOOK_MS = 250;
const PATIENCE_MS = 5_000;

type Admin = ReturnType<Kafka["admin"]>;

/** Seeks where nothing was committed yet. Rejects with what kafkajs says. */
export async function placeAtEnd(
  kafka: Kafka,
  consumer: Pick<Consumer, "seek" | "commitOffsets">,
  { group, partitions, leads, clock, signal }: PlaceOptions,
): Promise<void> {
  const admin = kafka.admin();
  try {
    await admin.connect();
    for (const [topic, ours] of partitions) {
      const first = await committed(admin, group, topic);
      if ([...first.values()].some((offset) => offset !== null)) continue;
      if (leads) await commitEnds(admin, consumer, topic, ours, null);
      else if (!(await follow(admin, topic, ours))) await commitEnds(admin, consumer, topic, ours, ours);
    }
  } finally {
    await admin.disconnect();
  }

  async function follow(admin: Admin, topic: string, ours: readonly number[]): Promise<boolean> {
    const until = clock.monotonic() + PATIENCE_MS;
    while (clock.monotonic() < until && !signal.aborted) {
      const offsets = await committed(admin, group, topic);
      if (ours.every((partition) => offsets.get(partition) != null)) {
        for (const partition of ours) {
          consumer.seek({ topic, partition, offset: offsets.get(partition) as string });
        }
        return true;
      }
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
    return false;
  }
}

/** What Kafka answers where nothing was committed. The other number below zero was: -2, by clients that mean the beginning. */
const NO_PLACE = -1;

/** By partition; null where there is none. */
async function committed(admin: Admin, group: string, topic: string): Promise<Map<number, string | null>> {
  const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
  return new Map(
    found?.partitions.map(({ partition, offset }) => [
      partition,
      Number(offset) === NO_PLACE ? null : offset,
    ]) ?? [],
  );
}

/** `only`: these partitions; null for all of the topic. */
async function commitEnds(
  admin: Admin,
  consumer: Pick<Consumer, "seek" | "commitOffsets">,
  topic: string,
  ours: readonly number[],
  only: readonly number[] | null,
): Promise<void> {
  const ends = (await admin.fetchTopicOffsets(topic)).filter(
    ({ partition }) => only === null || only.includes(partition),
  );
  for (const { partition, high } of ends) {
    if (ours.includes(partition)) consumer.seek({ topic, partition, offset: high });
  }
  await consumer.commitOffsets(ends.map(({ partition, high }) => ({ topic, partition, offset: high })));
}
