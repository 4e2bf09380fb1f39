import assert from "node:assert/strict";
import { test } from "node:test";
import { Commits, type Offsets, type SendOffsets } from "../../../src/brokers/kafka/commits.ts";
import { systemClock } from "../../../src/ports.ts";
import { keptLog } from "../../http/log.ts";
import { waitFor } from "../../wait-for.ts";

function broker() {
  const sent: Offsets[] = [];
  const answers: { resolve(): void; reject(error: Error): void }[] = [];
  const send: SendOffsets = (offsets) => {
    sent.push(offsets);
    return new Promise((resolve, reject) => answers.push({ resolve, reject }));
  };
  return { sent, answers, send };
}

const places = (sent: Offsets | undefined) =>
  sent?.topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, offset }) => `${topic}/${partition}=${offset}`),
  );

const nobody = () => assert.fail("nothing is forbidden");

const protocol = (type: string) => Object.assign(new Error(type), { type });

test("what is taken while one commit is on its way goes with the next, the latest place of each", async () => {
  const { sent, answers, send } = broker();
  const commits = new Commits(systemClock, keptLog().log, nobody);
  commits.add("t", 0, 5, send);
  commits.add("t", 0, 6, send);
  commits.add("t", 1, 3, send);
  commits.add("t", 0, 9, send);
  assert.deepEqual(places(sent[0]), ["t/0=5"]);
  answers[0]?.resolve();
  await waitFor("the next", () => sent.length === 2);
  assert.deepEqual(places(sent[1]), ["t/0=9", "t/1=3"]);
  answers[1]?.resolve();
  await commits.flush();
  commits.close();
});

test("one that failed is tried again, and takes nothing back", async () => {
  const { sent, answers, send } = broker();
  const commits = new Commits(systemClock, keptLog().log, nobody);
  commits.add("t", 0, 5, send);
  commits.add("t", 0, 8, send);
  answers[0]?.reject(new Error("cut"));
  await waitFor("the next", () => sent.length === 2);
  assert.deepEqual(places(sent[1]), ["t/0=8"]);
  commits.close();
});

test("after a rebalance what failed isn't ours to commit, and what was given away isn't either", async () => {
  const { sent, answers, send } = broker();
  const commits = new Commits(systemClock, keptLog().log, nobody);
  commits.add("t", 0, 5, send);
  commits.add("t", 1, 7, send);
  commits.keep((_topic, partition) => partition === 0);
  answers[0]?.reject(protocol("ILLEGAL_GENERATION"));
  await commits.flush();
  assert.equal(sent.length, 1);
  commits.close();
});

test("a commit that isn't allowed is told", async () => {
  const { answers, send } = broker();
  const told: unknown[] = [];
  const commits = new Commits(systemClock, keptLog().log, (error) => told.push(error));
  commits.add("t", 0, 5, send);
  answers[0]?.reject(protocol("GROUP_AUTHORIZATION_FAILED"));
  await commits.flush();
  assert.equal(told.length, 1);
  commits.close();
});
