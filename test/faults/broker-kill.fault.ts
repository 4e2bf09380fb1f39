import { test } from "node:test";
import { disturbOften, kill, reload, restart } from "./brokers/sources-under-load.ts";

const TIMES = Number(process.env.LEAT_KILLS ?? 20);

for (const [what, disturb] of [
  ["kill -9 of Leat", kill],
  ["restarts of Leat", restart],
  ["reloads that change each source", reload],
] as const) {
  test(`over ${TIMES} ${what}: nothing that kafka, mqtt or rabbitmq confirmed is lost under load from all of them, and repeats carry the same id (J1, J4)`, (t) =>
    disturbOften(t, what, disturb, TIMES));
}
