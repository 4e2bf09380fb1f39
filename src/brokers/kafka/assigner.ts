/**
 * Shares a group's partitions out, each to a member that has subscribed to its topic, evenly.
 *
 * kafkajs' own gives everybody partitions of the leader's topics: two sources of one group with different topics would
 * each be given what they don't read, and nobody would read it. The name is the same, so that clients of both kinds can
 * be in one group; the leader's way counts then.
 */
import type { PartitionAssigner } from "kafkajs";
import { kafkajs } from "./library.ts";

const NAME = "RoundRobinAssigner";
const VERSION = 0;

export interface Member {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** @param partitions their numbers by topic. Returns the same by member and topic. */
export function share(
  members: readonly Member[],
  partitions: ReadonlyMap<string, readonly number[]>,
): Map<string, Record<string, number[]>> {
  const shares = new Map(
    members
      .map(({ memberId }) => memberId)
      .toSorted()
      .map((id) => [id, { topics: Object.create(null) as Record<string, number[]>, count: 0 }]),
  );
  for (const [topic, numbers] of [...partitions].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const readers = members.filter(({ topics }) => topics.includes(topic)).map(({ memberId }) => memberId);
    if (readers.length === 0) continue;
    for (const number of numbers.toSorted((a, b) => a - b)) {
      let least = shares.get(readers.toSorted()[0] as string);
      for (const id of readers.toSorted()) {
        const one = shares.get(id);
        if (one !== undefined && least !== undefined && one.count < least.count) least = one;
      }
      if (least === undefined) continue;
      least.count++;
      (least.topics[topic] ??= []).push(number);
    }
  }
  return new Map([...shares].map(([id, { topics }]) => [id, topics]));
}

export const assigner: PartitionAssigner = ({ cluster }) => ({
  name: NAME,
  version: VERSION,
  protocol: ({ topics }) => ({
    name: NAME,
    metadata: kafkajs().AssignerProtocol.MemberMetadata.encode({
      version: VERSION,
      topics,
      userData: Buffer.alloc(0),
    }),
  }),
  async assign({ members }) {
    const { AssignerProtocol } = kafkajs();
    const known = members.map(({ memberId, memberMetadata }): Member => {
      const { topics } = AssignerProtocol.MemberMetadata.decode(memberMetadata) ?? { topics: [] };
      return { memberId, topics };
    });
    const partitions = new Map<string, number[]>();
    for (const topic of new Set(known.flatMap(({ topics }) => topics))) {
      partitions.set(topic, await partitionsOf(cluster, topic));
    }
    return [...share(known, partitions)].map(([memberId, assignment]) => ({
      memberId,
      memberAssignment: AssignerProtocol.MemberAssignment.encode({
        version: VERSION,
        assignment,
        userData: Buffer.alloc(0),
      }),
    }));
  },
});

type Cluster = Parameters<PartitionAssigner>[0]["cluster"];

/** None where the topic isn't there, or isn't ours to see: its reader finds out by itself. */
async function partitionsOf(cluster: Cluster, topic: string): Promise<number[]> {
  try {
    await cluster.addMultipleTargetTopics([topic]);
    return cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);
  } catch {
    return [];
  }
}
