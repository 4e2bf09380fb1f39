/** A defect in our own code costs its deliveries, visibly: a person who reads the log finds where it is. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Defects } from "../../src/delivery/defects.ts";
import type { Prepare } from "../../src/prepared.ts";
import { keepSecrets } from "../../src/secrets.ts";
import { keptLog } from "../http/log.ts";
import { waitFor } from "../wait-for.ts";
import { DELIVERED, delivery, newEvent, POLICY, SOON, TestSink, target } from "./kit.ts";
import { MemoryLedger } from "./memory-ledger.ts";

/** What was logged as an error: where, and the error's own stack. */
function told(lines: ReturnType<typeof keptLog>["lines"]): { where: string; stack: string }[] {
  return lines
    .filter(({ level }) => level === "error")
    .map(({ fields }) => {
      const { where, err } = fields as { where: string; err: Error };
      return { where, stack: err.stack ?? "" };
    });
}

test("what a sink throws is logged with its stack, once for each place it is thrown at", async (t) => {
  const { log, lines } = keptLog();
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  let bad = 6;
  const sink = new TestSink((message) => {
    if (bad-- <= 0) return DELIVERED;
    if (message.event.id === "throws") throw new TypeError(`a defect, of ${bad}`);
    return Promise.reject(new RangeError("a late defect"));
  });
  const works = delivery(ledger, { log });
  t.after(() => works.stop(0));
  await works.apply([target("r/s", sink)], []);
  for (const id of ["throws", "rejects", "throws", "rejects"]) ledger.append(newEvent({ id }));
  await waitFor("all delivered", () => subscription.owed === 0);
  const errors = told(lines);
  assert.deepEqual(
    errors.map(({ where }) => where),
    ["sink s", "sink s"],
  );
  assert.match(errors[0]?.stack ?? "", /TypeError: a defect[\s\S]*defects\.test\.ts/);
  assert.match(errors[1]?.stack ?? "", /RangeError: a late defect/);
});

test("what a route's preparing throws is logged with its stack, pushed or streamed", async (t) => {
  const { log, lines } = keptLog();
  const ledger = new MemoryLedger();
  const pushed = ledger.subscribe({ name: "r/s" });
  const streamed = ledger.subscribe({
    name: "live",
    kind: "stream",
    routes: ["at-once", "later"].map((route) => ({ route, sources: ["in"], start: "now" as const })),
  });
  const works = delivery(ledger, { log });
  t.after(() => works.stop(0));
  const throws: Prepare = () => {
    throw new TypeError("a defect");
  };
  const rejects: Prepare = () => Promise.reject(new RangeError("a late defect"));
  const sink = {
    start: async () => {},
    publish: () => {},
    stop: async () => {},
    endpoint: () => ({ path: "/", subtree: false, handle: () => {} }),
  };
  const routes = new Map([
    ["at-once", throws],
    ["later", rejects],
  ]);
  await works.apply(
    [target("r/s", new TestSink(), { prepare: throws })],
    [{ stream: "live", sink, routes, channelBytes: 256 }],
  );
  ledger.append(newEvent());
  ledger.append(newEvent());
  await waitFor("both", () => pushed.owed + streamed.owed === 0);
  assert.deepEqual(
    told(lines)
      .map(({ where }) => where)
      .sort(),
    ["route at-once", "route later", "route r"],
  );
});

test("what is kept of a defect, and told as a leat event, has no secret in it", async (t) => {
  keepSecrets(["s3cr3t-of-a-sink"]);
  const ledger = new MemoryLedger();
  const subscription = ledger.subscribe({ name: "r/s" });
  const works = delivery(ledger);
  t.after(() => works.stop(0));
  const retry = { ...SOON, maxAttempts: 1 };
  const sink = new TestSink(() => Promise.reject(new Error("s3cr3t-of-a-sink is no key")));
  await works.apply([target("r/s", sink, { policy: { ...POLICY, retry } })], []);
  ledger.append(newEvent());
  await waitFor("the dead letter", () => subscription.owed === 0);
  const kept = JSON.stringify(subscription.settled.map(({ settlement }) => settlement));
  assert.match(kept, /\*\*\* is no key/);
  assert.doesNotMatch(kept, /s3cr3t/);
  assert.doesNotMatch(Buffer.from(ledger.of("leat")[0]?.body ?? []).toString(), /s3cr3t/);
});

test("defects that look different each time don't fill the log", () => {
  const { log, lines } = keptLog();
  const defects = new Defects(log);
  for (let n = 0; n < 1000; n++) defects.tell(`sink s${n}`, "thrown");
  assert.equal(lines.length, 100);
});
