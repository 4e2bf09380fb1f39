/** J1, J3, J4, J5, J7: kill -9 under load, at moments that are chosen. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { killOften } from "./kill-run.ts";

const KILLS = Number(process.env.LEAT_KILLS ?? 100);
const READY_MS = 2_000;

test(`loses nothing over ${KILLS} kill -9 at chosen moments`, { timeout: 1_800_000 }, async (t) => {
  const starts = await killOften(t, KILLS);
  const slow = starts.filter((ms) => ms > READY_MS);
  assert.deepEqual(slow, [], `ready within ${READY_MS} ms after each kill`);
});
