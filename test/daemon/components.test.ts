import assert from "node:assert/strict";
import { test } from "node:test";
import { startAll, stopWithin } from "../../src/daemon/components.ts";
import { systemClock } from "../../src/ports.ts";

const component = (over: { start?: () => Promise<void>; stop?: () => Promise<void> } = {}) => ({
  start: async () => {},
  stop: async () => {},
  ...over,
});

test("where one can't start, those before it are stopped again", async () => {
  const stopped: number[] = [];
  const one = component({
    stop: async () => {
      stopped.push(1);
    },
  });
  await assert.rejects(
    startAll([one, component({ start: () => Promise.reject(new Error("no")) }), one]),
    /no/,
  );
  assert.deepEqual(stopped, [1]);
});

test("one that never ends holds its stop up no longer than it may; an error of another is an error", async () => {
  const keepAlive = setInterval(() => {}, 1000);
  try {
    assert.equal(await stopWithin(10_000, [component(), component()], systemClock), true);
    const never = component({ stop: () => new Promise(() => {}) });
    assert.equal(await stopWithin(5, [component(), never], systemClock), false);
    const broken = component({ stop: () => Promise.reject(new Error("broken")) });
    await assert.rejects(stopWithin(10_000, [broken], systemClock), /broken/);
  } finally {
    clearInterval(keepAlive);
  }
});
