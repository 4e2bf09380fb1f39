/** The short form of test/faults/kill.fault.ts: the same moments, of which each kind is met. */
import { test } from "node:test";
import { killOften } from "../faults/kill-run.ts";

const KILLS = Number(process.env.LEAT_KILLS ?? 20);

test(`loses nothing that was answered 2xx over ${KILLS} kill -9 at chosen moments under load, and repeats carry the same id (J1, J3, J4, J5)`, async (t) => {
  await killOften(t, KILLS);
});
