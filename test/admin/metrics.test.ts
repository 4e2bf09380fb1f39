import assert from "node:assert/strict";
import { test } from "node:test";
import { postJson, startForTest } from "../daemon/running.ts";
import { makeReceiver } from "../e2e/daemon.ts";
import { accountSums, type Sample, scrapeMetrics as scrape } from "../metrics-text.ts";
import { waitFor } from "../wait-for.ts";

/** J3: what doesn't add up, by route and sink; and how many accounts were looked at. */
function imbalances(samples: readonly Sample[], prefix: "leat_" | "leat_replays_") {
  const sums = [...accountSums(samples, prefix)];
  const wrong = sums.filter(([, { accepted, parts, absurd }]) => accepted !== parts || absurd);
  return { wrong, accounts: sums.length, states: sums.map(([, { states }]) => states) };
}

const KNOWN_LABELS = new Set(["source", "route", "sink", "outcome", "reason", "le", "version", "node"]);

test("metrics parse, are named leat_…, and have no label whose values others choose", async (t) => {
  const { url, admin } = await startForTest(
    t,
    `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { live: { type: sse, path: /events, auth: { type: none } } }
routes: { all: { from: in, to: live } }
`,
  );
  assert.equal((await postJson(`${url}/in`, { n: 1 })).status, 200);
  const { samples, types } = await scrape(admin);
  for (const { name, labels } of samples) {
    assert.match(name, /^leat_/);
    for (const label of Object.keys(labels)) assert.ok(KNOWN_LABELS.has(label), `${name} has ${label}`);
  }
  for (const [name, type] of types) {
    if (type === "counter") assert.match(name, /_total$/);
  }
  const value = (name: string) => samples.find((sample) => sample.name === name)?.value;
  assert.equal(value("leat_build_info"), 1);
  assert.equal(value("leat_ready"), 1);
  assert.equal(value("leat_config_reload_success"), 1);
  assert.equal(samples.find(({ name }) => name === "leat_received_total")?.labels.source, "in");
  const buckets = samples.filter(({ name }) => name === "leat_commit_seconds_bucket");
  assert.ok(buckets.length > 3);
  const counts = buckets.map((bucket) => bucket.value);
  assert.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
    "the buckets are cumulative",
  );
  assert.equal(counts.at(-1), value("leat_commit_seconds_count"));
});

test("J3 holds in every scrape while events come in, are delivered, filtered, retried and die", async (t) => {
  const receiver = await makeReceiver();
  t.after(() => receiver.close());
  let answered = 0;
  receiver.answer = () => [200, 500, 400][answered++ % 3] ?? 200;
  const { url, admin } = await startForTest(
    t,
    `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  out: { type: webhook, url: "${receiver.url}/hook", retry: { initial: 20ms, max_wait: 50ms, dead_on: [400] }, breaker: { failures: 1000 } }
  live: { type: sse, path: /events, auth: { type: none } }
routes:
  all: { from: in, to: [out, live] }
  few: { from: in, where: "body.n < 10", to: [out, live] }
`,
  );
  let sending = true;
  const sent = (async () => {
    for (let n = 0; n < 300; n++) await postJson(`${url}/in`, { n });
    sending = false;
  })();
  let scrapes = 0;
  const check = async () => {
    const pairs = await Promise.all([scrape(admin), scrape(admin)]);
    for (const { samples } of pairs) {
      for (const prefix of ["leat_", "leat_replays_"] as const) {
        const { wrong, accounts, states } = imbalances(samples, prefix);
        assert.deepEqual(wrong, []);
        assert.equal(accounts, 4);
        assert.ok(
          states.every((count) => count === 8),
          "all eight states are there",
        );
      }
      scrapes++;
    }
  };
  while (sending) await check();
  await sent;
  await waitFor("everything to be settled", async () => {
    await check();
    const { samples } = await scrape(admin);
    const open = samples.filter(({ name, value }) => name === "leat_unsettled" && value > 0);
    return open.length === 0;
  });
  const { samples } = await scrape(admin);
  const total = (outcome: string, route: string, sink: string) =>
    samples.find(
      ({ name, labels }) =>
        name === "leat_settled_total" &&
        labels.outcome === outcome &&
        labels.route === route &&
        labels.sink === sink,
    )?.value;
  assert.equal(total("filtered", "few", "out"), 290);
  assert.equal(total("delivered", "all", "live"), 300);
  assert.ok((total("dead", "all", "out") ?? 0) > 0);
  assert.ok(scrapes > 4);
});

test("the event loop's delay is that since the last scrape: what blocks it shows once", async (t) => {
  const { admin } = await startForTest(
    t,
    "sources: { in: { type: webhook, path: /in, verify: { type: none } } }\n",
  );
  const delay = async (which: string) => {
    const { samples } = await scrape(admin);
    return samples.find(({ name }) => name === `leat_event_loop_delay_${which}_seconds`)?.value ?? -1;
  };
  const blockedMs = 1000;
  const seen = await waitFor("the block to be seen", async () => {
    // Again and again: the first may be over before the meter has begun.
    const until = performance.now() + blockedMs;
    while (performance.now() < until);
    const max = await delay("max");
    return max >= 0.9 * (blockedMs / 1000) && max;
  });
  assert.ok(seen < 30, "in seconds");
  await waitFor("a scrape after it", async () => (await delay("max")) < 0.9 * (blockedMs / 1000));
  const mean = await delay("mean");
  assert.ok(mean >= 0 && mean < 1, String(mean));
});
