/** The short form of test/faults/broker-kill.fault.ts. */
import { test } from "node:test";
import { disturbOften, kill, reload, restart } from "../faults/brokers/sources-under-load.ts";

const NOTHING_LOST =
  "nothing that kafka, mqtt or rabbitmq confirmed is lost under load from all of them, and repeats carry the same id (J1, J4)";

test(`over 5 kill -9 of Leat: ${NOTHING_LOST}`, (t) => disturbOften(t, "kills", kill, 5));
test(`over a restart and reloads that change each source: ${NOTHING_LOST}`, async (t) => {
  const all = [reload, restart, reload, reload];
  let at = 0;
  await disturbOften(t, "reloads and restarts", (disturbed) => (all[at++] ?? reload)(disturbed), all.length);
});
