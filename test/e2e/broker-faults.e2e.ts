/** The short form of test/faults/brokers.fault.ts: the same faults, each a few times. */
import { test } from "node:test";
import { startBridge } from "../faults/brokers/bridge.ts";
import { cutOften, freezeFor, restartOften } from "../faults/brokers/faults.ts";
import { kafkaFamily } from "../faults/brokers/kafka-place.ts";
import { mqttFamily } from "../faults/brokers/mqtt-place.ts";
import { rabbitmqFamily } from "../faults/brokers/rabbitmq-place.ts";
import { recordLedger } from "../faults/ledger.ts";

for (const family of [kafkaFamily, mqttFamily, rabbitmqFamily]) {
  test(`${family.name}: nothing is lost over cuts, restarts and a freeze of the broker under load (J1, J4)`, async (t) => {
    const bridge = await startBridge(t, family);
    await bridge.progress(20);
    const cuts = await cutOften(bridge, 9);
    const restarts = await restartOften(bridge, 2);
    const freeze = await freezeFor(bridge, 3_000);
    recordLedger(t, { ...cuts, ...restarts, ...freeze, ...(await bridge.settle()) });
  });
}
