/** The short form of test/faults/broker-kill.fault.ts. */
import { test } from "node:test";
import { killOften } from "../faults/brokers/kills.ts";

test("kafka, mqtt and rabbitmq: nothing that a broker confirmed is lost over 5 kill -9 of Leat under load from all of them, and repeats carry the same id (J1, J4)", (t) =>
  killOften(t, 5));
