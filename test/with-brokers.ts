/**
 * `node test/with-brokers.ts <command …>` runs the command with a Kafka, a Mosquitto and a RabbitMQ that all its tests
 * share, and ends as it ended. Those that LEAT_TEST_KAFKA, LEAT_TEST_MQTT and LEAT_TEST_RABBITMQ name are used as they
 * are; the rest are started here, from the programs that are installed or else by Docker (test/brokers/compose.yaml).
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { startKafka } from "./brokers/kafka.ts";
import { startMosquitto } from "./brokers/mosquitto.ts";
import { program } from "./brokers/programs.ts";
import { startRabbitmq } from "./brokers/rabbitmq.ts";
import { VARIABLES } from "./brokers/shared.ts";

type Named = Partial<Record<(typeof VARIABLES)[keyof typeof VARIABLES], string>>;

interface Running {
  readonly env: Named;
  close(): Promise<void>;
}

const STARTS: readonly { readonly variable: keyof Named; readonly start: () => Promise<Running> }[] = [
  {
    variable: VARIABLES.kafka,
    async start() {
      const kafka = await startKafka();
      return { env: { [VARIABLES.kafka]: kafka.bootstrap }, close: kafka.close };
    },
  },
  {
    variable: VARIABLES.mqtt,
    async start() {
      const mosquitto = await startMosquitto();
      return { env: { [VARIABLES.mqtt]: mosquitto.url }, close: mosquitto.close };
    },
  },
  {
    variable: VARIABLES.rabbitmq,
    async start() {
      const rabbitmq = await startRabbitmq();
      return { env: { [VARIABLES.rabbitmq]: rabbitmq.url }, close: rabbitmq.close };
    },
  },
];

const COMPOSE = ["compose", "-f", join(import.meta.dirname, "brokers/compose.yaml")];

/** What compose.yaml publishes. */
function composed(): Running {
  execFileSync("docker", [...COMPOSE, "up", "--detach", "--wait"], { stdio: "inherit" });
  return {
    env: {
      [VARIABLES.kafka]: "127.0.0.1:29092",
      [VARIABLES.mqtt]: "mqtt://127.0.0.1:21883",
      [VARIABLES.rabbitmq]: "amqp://guest:guest@127.0.0.1:25672",
    },
    close: async () => {
      execFileSync("docker", [...COMPOSE, "down", "--volumes"], { stdio: "inherit" });
    },
  };
}

const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error("usage: node test/with-brokers.ts <command …>");

const wanted = STARTS.filter(({ variable }) => !process.env[variable]);
const installed = ["java", "mosquitto", "rabbitmq-server"].every((name) => program(name) !== null);
const docker = () => spawnSync("docker", ["info"], { stdio: "ignore" }).status === 0;
const starting =
  wanted.length > 0 && !installed && docker()
    ? [Promise.resolve().then(composed)]
    : wanted.map(({ start }) => start());
const settled = await Promise.allSettled(starting);
const running = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
try {
  const failed = settled.find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
  const env = Object.assign({}, ...running.map((one) => one.env), process.env);
  const child = spawn(command, args, { stdio: "inherit", env });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, pass);
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
} finally {
  await Promise.all(running.map((one) => one.close()));
}
