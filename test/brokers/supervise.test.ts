import assert from "node:assert/strict";
import { test } from "node:test";
import { BrokerError, type Live, supervise, waitAfter } from "../../src/brokers/supervise.ts";
import type { Standing } from "../../src/component.ts";
import { keptLog } from "../http/log.ts";
import { waitFor } from "../wait-for.ts";

/** A loop over a clock that moves by hand. */
function loop(live: Live) {
  let now = 0;
  const timers: { at: number; callback: () => void }[] = [];
  const clock = {
    wall: () => 0,
    monotonic: () => now,
    after(ms: number, callback: () => void) {
      const timer = { at: now + ms, callback };
      timers.push(timer);
      return () => {
        if (timers.includes(timer)) timers.splice(timers.indexOf(timer), 1);
      };
    },
  };
  const standings: Standing[] = [];
  const { log, lines } = keptLog();
  const chance = { random: () => 0 };
  const supervised = supervise({ clock, chance, log, stands: (one) => standings.push(one) }, live);
  return {
    supervised,
    standings,
    lines,
    pass(ms: number) {
      now += ms;
      for (const timer of timers.splice(0)) {
        if (timer.at <= now) timer.callback();
        else timers.push(timer);
      }
    },
    /** How long the next try is waited for. */
    waiting: () => waitFor("a wait", () => timers.map(({ at }) => at - now)[0]),
  };
}

test("tries again ever later, and at a calm pace where only a person can mend it", async () => {
  let calm = false;
  let lives = 0;
  const { supervised, pass, waiting, standings } = loop(async () => {
    lives++;
    throw new BrokerError(calm ? "auth" : "connection_refused", "no", { calm });
  });
  let waits = [await waiting()];
  const fails = async (times: number, calmly: boolean) => {
    calm = calmly;
    for (let n = 0; n < times; n++) {
      pass(waits.at(-1) ?? 0);
      waits.push(await waiting());
    }
    const all = waits;
    waits = waits.slice(-1);
    return all;
  };
  assert.deepEqual(await fails(7, false), [125, 250, 500, 1000, 2000, 2500, 2500, 2500]);
  // What was waited for before doesn't make what a person has to mend wait longer, nor the other way round.
  assert.deepEqual(await fails(6, true), [2500, 2500, 5000, 10_000, 20_000, 30_000, 30_000]);
  assert.deepEqual(standings.at(-1), { state: "waiting", error: "auth", message: "no" });
  assert.deepEqual(await fails(2, false), [30_000, 125, 250]);
  assert.equal(lives, 16);
  await supervised.stop();
});

test("waits are between half of what they may be and all of it", () => {
  assert.equal(waitAfter(0, false, 0), 125);
  assert.ok(waitAfter(0, false, 0.999) < 250);
  assert.equal(waitAfter(0, true, 0), 2500);
  assert.equal(waitAfter(1000, true, 0.5), 45_000);
});

test("begins anew after a life that was up longer than the wait before it", async () => {
  let end: (() => void) | null = null;
  let fail = true;
  const { supervised, pass, waiting, standings } = loop(async (up) => {
    if (fail) throw new BrokerError("connection_refused", "no");
    up();
    await new Promise<void>((resolve) => {
      end = resolve;
    });
  });
  for (let n = 0; n < 5; n++) {
    assert.equal(await waiting(), 125 * 2 ** n);
    fail = n < 4;
    pass(125 * 2 ** n);
  }
  const endOf = async () => {
    const ended = await waitFor("the life", () => end);
    end = null;
    return ended;
  };
  const short = await endOf();
  assert.deepEqual(standings.at(-1), { state: "connected" });
  pass(1999);
  short();
  const next = await waiting();
  assert.equal(next, 2500, "it was up for less than the 2 s that were waited, so it waits longer");
  assert.deepEqual(standings.at(-1), {
    state: "waiting",
    error: "closed",
    message: "the connection was closed",
  });
  pass(next);
  const long = await endOf();
  pass(4000);
  long();
  assert.equal(await waiting(), 125);
  await supervised.stop();
});

test("a stop ends the life by its signal, waits for its end, and says nothing more", async () => {
  let ended = false;
  const { supervised, standings } = loop(async (up, signal) => {
    up();
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    await new Promise((resolve) => setImmediate(resolve));
    ended = true;
    throw new Error("torn down");
  });
  await waitFor("the life", () => standings.length === 1);
  await supervised.stop();
  assert.equal(ended, true);
  assert.equal(standings.length, 1);
  await supervised.stop();
});

test("a stop while it waits begins no life any more", async () => {
  let lives = 0;
  const { supervised, waiting } = loop(async () => {
    lives++;
    throw new BrokerError("connection_refused", "no");
  });
  await waiting();
  await supervised.stop();
  assert.equal(lives, 1);
});

test("what the code didn't foresee is logged, and people are told no text of a library", async () => {
  const { supervised, waiting, standings, lines } = loop(async () => {
    throw new TypeError("amqp://user:pass@host is odd");
  });
  await waiting();
  const [standing] = standings;
  assert.equal(standing?.state === "waiting" && standing.error, "unexpected");
  assert.doesNotMatch(JSON.stringify(standings), /pass/);
  assert.equal(lines.length > 0, true);
  await supervised.stop();
});

test("the signal of a life that is over is aborted, for what it left behind", async () => {
  const signals: AbortSignal[] = [];
  const { supervised, waiting } = loop(async (_up, signal) => {
    signals.push(signal);
    throw new BrokerError("reset", "cut");
  });
  await waiting();
  assert.equal(signals[0]?.aborted, true);
  await supervised.stop();
});
