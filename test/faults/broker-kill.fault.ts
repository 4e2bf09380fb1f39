import { test } from "node:test";
import { killOften } from "./brokers/kills.ts";

const KILLS = Number(process.env.LEAT_KILLS ?? 20);

test(`kafka, mqtt and rabbitmq: nothing that a broker confirmed is lost over ${KILLS} kill -9 of Leat under load from all of them, and repeats carry the same id (J1, J4)`, (t) =>
  killOften(t, KILLS));
