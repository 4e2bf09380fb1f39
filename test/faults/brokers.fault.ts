/**
 * Brokers that are cut off, restarted and frozen under load, each with Leat as their reader and their writer at once: all
 * that a broker confirmed to an outside sender comes out at the other end, and what comes twice has the same id.
 */
import { test } from "node:test";
import { startBridge } from "./brokers/bridge.ts";
import { cutOften, freezeFor, restartOften } from "./brokers/faults.ts";
import { kafkaFamily } from "./brokers/kafka-place.ts";
import { mqttFamily } from "./brokers/mqtt-place.ts";
import { rabbitmqFamily } from "./brokers/rabbitmq-place.ts";
import { recordLedger } from "./ledger.ts";

const CUTS = Number(process.env.LEAT_CUTS ?? 100);
const RESTARTS = Number(process.env.LEAT_RESTARTS ?? 20);
const FROZEN_MS = Number(process.env.LEAT_FROZEN_MS ?? 30_000);

for (const family of [kafkaFamily, mqttFamily, rabbitmqFamily]) {
  const faults = [
    [`${CUTS} random cuts of TCP, also during connect and set-up`, cutOften, CUTS],
    [`the broker is stopped and started ${RESTARTS} times`, restartOften, RESTARTS],
    [`the broker stands still for ${FROZEN_MS / 1000} s (SIGSTOP)`, freezeFor, FROZEN_MS],
  ] as const;
  for (const [what, fault, amount] of faults) {
    test(`${family.name} under load: ${what}`, { timeout: 900_000 }, async (t) => {
      const bridge = await startBridge(t, family);
      await bridge.progress(100);
      const figures = await fault(bridge, amount);
      recordLedger(t, { ...figures, ...(await bridge.settle()) });
    });
  }
}
