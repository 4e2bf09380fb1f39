/** The watch itself: it sees what it is there to see. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { type IdentityWatch, LEAST_PER_SECOND, settleIdentity, watchIdentity } from "./identity.ts";

interface Shown {
  readonly started: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly pending: number;
  readonly received: number;
}

function metricsOf({ started, accepted, delivered, pending, received }: Shown): string {
  const of = 'route="all",sink="out"';
  const settled = ["filtered", "dead", "expired", "purged"].map(
    (outcome) => `leat_settled_total{${of},outcome="${outcome}"} 0`,
  );
  return [
    "# TYPE leat_start_time_seconds gauge",
    `leat_start_time_seconds ${started}`,
    "# TYPE leat_received_total counter",
    `leat_received_total{source="in"} ${received}`,
    "# TYPE leat_accepted_total counter",
    `leat_accepted_total{${of}} ${accepted}`,
    "# TYPE leat_settled_total counter",
    `leat_settled_total{${of},outcome="delivered"} ${delivered}`,
    ...settled,
    "# TYPE leat_unsettled gauge",
    `leat_unsettled{${of},outcome="pending"} ${pending}`,
    `leat_unsettled{${of},outcome="in_flight"} 0`,
    `leat_unsettled{${of},outcome="retrying"} 0`,
    "",
  ].join("\n");
}

interface Watching {
  readonly watch: IdentityWatch;
  show(next: Shown): Promise<void>;
  /** Nobody answers any more, until `listen`. */
  close(): Promise<void>;
  listen(): Promise<void>;
}

/** A watch of what `show` was called with last, answered after `delayMs`. */
async function watching(t: TestContext, first: Shown, delayMs = 0): Promise<Watching> {
  let shown = first;
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/plain; version=0.0.4");
    setTimeout(() => response.end(metricsOf(shown)), delayMs);
  });
  const listen = async (port = 0) => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  await listen();
  const { port } = server.address() as AddressInfo;
  const watch = watchIdentity(`http://127.0.0.1:${port}`);
  t.after(async () => {
    await watch.stop();
    server.closeAllConnections();
    server.close();
  });
  const seen = async () => {
    const { scrapes } = watch;
    await waitFor("some more scrapes", () => watch.scrapes > scrapes + 6);
  };
  await seen();
  return {
    watch,
    async show(next) {
      shown = next;
      await seen();
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
    listen: () => listen(port),
  };
}

const START: Shown = { started: 1, accepted: 10, delivered: 7, pending: 3, received: 20 };

test("what adds up, and only grows, is fine; a restart may set back what only the process counts", async (t) => {
  const { watch, show } = await watching(t, START);
  await show({ ...START, accepted: 12, delivered: 9, received: 22 });
  await show({ ...START, started: 2, accepted: 12, delivered: 9, received: 0 });
  assert.deepEqual(watch.wrong, []);
});

test("an account that doesn't add up is seen, and one below zero", async (t) => {
  const { watch, show } = await watching(t, START);
  await show({ ...START, accepted: 11 });
  assert.match(watch.wrong.join("\n"), /accepted 11, but its states add up to 10/);
  await show({ ...START, accepted: 6, pending: -1 });
  assert.match(watch.wrong.join("\n"), /below zero/);
});

test("a counter that goes back is seen", async (t) => {
  const { watch, show } = await watching(t, START);
  await show({ ...START, received: 19 });
  assert.match(watch.wrong.join("\n"), /leat_received_total.* went from 20 back to 19/);
});

test("what the journal counts may not go back over a restart", async (t) => {
  const { watch, show } = await watching(t, START);
  await show({ ...START, started: 2, accepted: 9, pending: 2 });
  assert.match(watch.wrong.join("\n"), /leat_accepted_total.* went from 10 back to 9/);
});

test("scrapes are counted over the time in which somebody was there to answer", async (t) => {
  const began = performance.now();
  const { watch, show, close, listen } = await watching(t, START);
  await close();
  const closed = performance.now();
  await waitFor("a second without an answer", () => performance.now() > closed + 1000);
  await listen();
  await show(START);
  const { scrapes, perSecond, unanswered } = await watch.stop();
  assert.ok(unanswered > 0);
  assert.ok(perSecond > (1.5 * scrapes * 1000) / (performance.now() - began), `${perSecond} a second`);
  assert.deepEqual(watch.wrong, []);
});

test("a watch that saw something wrong, or looked too seldom, fails its run", async (t) => {
  const bad = await watching(t, START);
  await bad.show({ ...START, accepted: 11 });
  await assert.rejects(settleIdentity(bad.watch), /J3/);
  const slow = await watching(t, START, 400);
  await assert.rejects(settleIdentity(slow.watch), new RegExp(`has to be ${LEAST_PER_SECOND} times`));
});
