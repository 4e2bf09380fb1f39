import assert from "node:assert/strict";
import { test } from "node:test";
import { keepConnected, waitOf } from "../../src/client/reconnect.ts";
import { endingOf } from "../../src/client/socket.ts";
import { type StatusNews, StreamError } from "../../src/client/words.ts";

const BACKOFF = { initial: 1000, max: 30_000 };

test("waits are a random part of what doubles with each failure, up to the most", () => {
  const wait = (failures: number, random: number) =>
    waitOf({ reason: "network" }, failures, BACKOFF, () => random);
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 60].map((failures) => wait(failures, 1)),
    [1000, 2000, 4000, 8000, 16000, 30000, 30000],
  );
  assert.equal(wait(3, 0), 0);
  assert.equal(wait(3, 0.5), 4000);
});

test("the server's word on when to come back counts, and one that fails again waits longer", () => {
  const ending = { reason: "restart", retryMs: 2500 };
  assert.equal(
    waitOf(ending, 0, BACKOFF, () => 0.9),
    2500,
  );
  assert.equal(
    waitOf(ending, 1, BACKOFF, () => 0.5),
    3500,
  );
});

test("a close code says whether to come back and when", () => {
  for (const code of [4000, 4001, 4003, 4009, 4099, 1008, 1009]) {
    assert.ok(endingOf(code, "why").error instanceof StreamError, String(code));
  }
  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 3000, 4100, 4102, 4199]) {
    const ending = endingOf(code, "", { reason: "drain", retryMs: 700 });
    assert.deepEqual(ending, { reason: "drain", retryMs: 700 }, String(code));
  }
  assert.deepEqual(endingOf(4200, ""), { reason: "closed_4200", retryMs: 0 });
  assert.deepEqual(endingOf(1006, ""), { reason: "network" });
});

test("it dials until it is stopped, and tells how it stands", async () => {
  const stop = new AbortController();
  const told: StatusNews[] = [];
  let dialled = 0;
  const error = await keepConnected(
    async (tell) => {
      tell({ status: "live" });
      if (++dialled === 3) stop.abort();
      if (dialled === 1) throw new TypeError("fetch failed");
      return { reason: "restart", retryMs: 1 };
    },
    { initial: 1, max: 2 },
    stop.signal,
    (news) => told.push(news),
  );
  assert.equal(error, undefined);
  assert.equal(dialled, 3);
  assert.deepEqual(
    told.map(({ status, reason }) => [status, ...(reason ? [reason] : [])].join(" ")),
    ["connecting", "live", "waiting network", "connecting", "live", "waiting restart", "connecting", "live"],
  );
});

test("a final ending is dialled no more, nor is what a program's own StreamError ends", async () => {
  for (const dial of [
    async () => ({ reason: "forbidden", error: new StreamError("forbidden", "no") }),
    () => Promise.reject(new StreamError("forbidden", "logged out")),
  ]) {
    const error = await keepConnected(dial, BACKOFF, new AbortController().signal, () => {});
    assert.equal(error?.code, "forbidden");
  }
});

test("to stop ends a wait at once", { timeout: 5000 }, async () => {
  const stop = new AbortController();
  const ended = keepConnected(
    async () => ({ reason: "x", retryMs: 60_000 }),
    BACKOFF,
    stop.signal,
    ({ status }) => {
      if (status === "waiting") stop.abort();
    },
  );
  assert.equal(await ended, undefined);
});
