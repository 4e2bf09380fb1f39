import assert from "node:assert/strict";
import { test } from "node:test";
import { writtenPlace } from "../../../src/brokers/rabbitmq/place.ts";
import { rabbitmqSinkSchema } from "../../../src/sinks/rabbitmq/config.ts";
import { rabbitmqSourceSchema } from "../../../src/sources/rabbitmq/config.ts";
import { consumes, deliveryLimitWarning, queueArguments } from "../../../src/sources/rabbitmq/topology.ts";

const source = (config: object) =>
  rabbitmqSourceSchema.parse({ url: "amqp://127.0.0.1", queue: "jobs", ...config });
const declared = (declare: object) => {
  const { declare: parsed } = source({ declare });
  assert.ok(parsed);
  return parsed;
};

test("a queue is declared as what the configuration says, a quorum queue by default", () => {
  assert.deepEqual(queueArguments(declared({})), { "x-queue-type": "quorum" });
  const all = {
    type: "classic",
    dead_letter_exchange: "dlx",
    dead_letter_routing_key: "dead",
    delivery_limit: -1,
    arguments: { "x-max-length": 5 },
  };
  assert.deepEqual(queueArguments(declared(all)), {
    "x-max-length": 5,
    "x-queue-type": "classic",
    "x-dead-letter-exchange": "dlx",
    "x-dead-letter-routing-key": "dead",
    "x-delivery-limit": -1,
  });
});

test("a quorum queue that isn't durable is refused", () => {
  assert.throws(() => source({ declare: { durable: false } }), /quorum queue is always durable/);
  assert.equal(declared({ durable: false, type: "classic" }).durable, false);
});

test("a queue that drops what comes back too often is warned of: by its limit, or by RabbitMQ 4's own", () => {
  const warned = (declare: object, version?: string) =>
    deliveryLimitWarning(declared(declare), version) !== null;
  assert.equal(warned({}, "3.10.8"), false);
  assert.equal(warned({}, "4.1.0"), true);
  assert.equal(warned({ delivery_limit: 5 }, "3.10.8"), true);
  assert.equal(warned({ delivery_limit: -1 }, "4.1.0"), false);
  assert.equal(warned({ dead_letter_exchange: "dlx" }, "4.1.0"), false);
  assert.equal(warned({ type: "classic" }, "4.1.0"), false);
  assert.equal(warned({}, undefined), false);
  assert.equal(deliveryLimitWarning(undefined, "4.1.0"), null);
  assert.match(deliveryLimitWarning(declared({}), "4.1.0") ?? "", /after 20 deliveries/);
});

test("a sink feeds a source by its queue's name, or by an exchange that it binds", () => {
  const sink = (url: string | string[], vhost?: string) =>
    rabbitmqSinkSchema.parse(vhost === undefined ? { url } : { url, vhost });
  const here = sink("amqp://127.0.0.1:5672");
  const plain = source({});
  const bound = source({
    declare: {
      bindings: [
        { exchange: "topic", routing_key: "job.*.#" },
        { exchange: "all", exchange_type: "fanout" },
      ],
    },
  });
  assert.equal(consumes(plain, writtenPlace(here, "", "jobs")), true);
  assert.equal(consumes(plain, writtenPlace(here, "", "others")), false);
  assert.equal(consumes(plain, writtenPlace(here, "topic", "job.a")), false);
  assert.equal(consumes(bound, writtenPlace(here, "topic", "job.a.b.c")), true);
  assert.equal(consumes(bound, writtenPlace(here, "topic", "job")), false);
  assert.equal(consumes(bound, writtenPlace(here, "all", "whatever")), true);
  assert.equal(consumes(plain, writtenPlace(sink("amqp://127.0.0.1:5673"), "", "jobs")), false);
  assert.equal(consumes(plain, writtenPlace(sink("amqp://127.0.0.1", "other"), "", "jobs")), false);
  assert.equal(consumes(plain, writtenPlace(sink(["amqp://a", "amqp://127.0.0.1"]), "", "jobs")), true);
  assert.equal(consumes(plain, "kafka 127.0.0.1:9092 jobs"), false);
});
