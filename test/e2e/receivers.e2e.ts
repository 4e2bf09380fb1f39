import assert from "node:assert/strict";
import { test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { makeDaemon, makeReceiver } from "./daemon.ts";

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("a dead receiver holds back no other: the live one's latency doesn't change", async (t) => {
  const live = await makeReceiver();
  const dead = await makeReceiver();
  dead.answer = () => new Promise<number>(() => {});
  const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: webhook, url: "${live.url}/live" }
  dead: { type: webhook, url: "${dead.url}/dead", timeout: 1s }
routes:
  alone: { from: in, match: { subject: alone }, to: live }
  both: { from: in, match: { subject: both }, to: [live, dead] }
`);
  t.after(async () => {
    await daemon.close();
    await live.close();
    await dead.close();
  });
  await daemon.start();

  const medianMs = async (path: string, count: number) => {
    const waits: number[] = [];
    for (let n = 0; n < count; n++) {
      const before = live.received.length;
      const sent = performance.now();
      assert.equal((await post(`${daemon.url}/in/${path}`, { n })).status, 200);
      await waitFor("the live receiver", () => live.received.length > before);
      waits.push((live.received[before]?.at ?? Number.NaN) - sent);
    }
    return waits.sort((a, b) => a - b)[count >> 1] as number;
  };
  const alone = await medianMs("alone", 50);
  const beside = await medianMs("both", 50);
  t.diagnostic(
    `median from post to the live receiver: ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside a dead one`,
  );
  assert.ok(beside < alone * 3 + 20, `the live one waits for the dead one: ${beside} ms against ${alone} ms`);
});

test("a poison event among good ones is a dead letter with its expression and reason; the good ones arrive", async (t) => {
  const receiver = await makeReceiver();
  const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { out: { type: webhook, url: "${receiver.url}", path: "/users/{{ body.user }}" } }
routes: { all: { from: in, to: out } }
`);
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  for (const user of ["ann", null, "bob"]) await post(`${daemon.url}/in`, { user });

  await waitFor("both good events", () => receiver.received.length === 2);
  assert.deepEqual(receiver.received.map(({ path }) => path).sort(), ["/users/ann", "/users/bob"]);
  const letters = await waitFor("the dead letter", async () => {
    const { dead } = (await (await fetch(`${daemon.admin}/api/dead`)).json()) as {
      dead: Record<string, unknown>[];
    };
    return dead.length === 1 && dead;
  });
  assert.match(JSON.stringify(letters[0]), /body\.user/);
});

test("dead letters of a route that reports dead letters raise none: no endless loop", async (t) => {
  const receiver = await makeReceiver();
  receiver.answer = () => 410;
  const daemon = await makeDaemon(`
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  work: { type: webhook, url: "${receiver.url}/work", retry: { max_attempts: 1 } }
  alarm: { type: webhook, url: "${receiver.url}/alarm", retry: { max_attempts: 1 } }
routes:
  work: { from: in, to: work }
  alarm: { from: leat, match: { type: leat.dead }, to: alarm }
`);
  receiver.answer = () => 500;
  t.after(async () => {
    await daemon.close();
    await receiver.close();
  });
  await daemon.start();
  await post(`${daemon.url}/in`, { n: 1 });
  const dead = async (path: string) =>
    (
      (await (await fetch(`${daemon.admin}/api/dead?subscription=${encodeURIComponent(path)}`)).json()) as {
        dead: unknown[];
      }
    ).dead.length;
  await waitFor(
    "both to be dead",
    async () => (await dead("work/work")) === 1 && (await dead("alarm/alarm")) === 1,
  );
  // A loop would raise an event for the alarm's own death: post another and see that only its two deliveries came.
  await post(`${daemon.url}/in`, { n: 2 });
  await waitFor(
    "the second ones",
    async () => (await dead("work/work")) === 2 && (await dead("alarm/alarm")) === 2,
  );
  assert.equal(receiver.received.length, 4);
});

test("two Leats that feed each other stop after 8 hops, with a dead letter that says so", async (t) => {
  const placeholder = "http://127.0.0.1:9/in";
  const config = (url: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks: { other: { type: webhook, url: "${url}" } }
routes: { all: { from: in, to: other } }
`;
  const one = await makeDaemon(config(placeholder));
  const two = await makeDaemon(config(`${one.url}/in`));
  one.writeConfig(config(`${two.url}/in`));
  t.after(async () => {
    await one.close();
    await two.close();
  });
  await Promise.all([one.start(), two.start()]);
  await post(`${one.url}/in`, { ping: true });
  const letters = await waitFor("the dead letter", async () => {
    const both = await Promise.all(
      [one, two].map(
        async ({ admin }) =>
          ((await (await fetch(`${admin}/api/dead`)).json()) as { dead: { message: string }[] }).dead,
      ),
    );
    const all = both.flat();
    return all.length > 0 && all;
  });
  assert.equal(letters.length, 1);
  assert.match(JSON.stringify(letters[0]), /hops/);
});
