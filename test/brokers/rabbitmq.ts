import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { waitFor } from "../wait-for.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { brokerPort, listens } from "./port.ts";
import { RABBITMQ, required } from "./programs.ts";
import { type Broker, brokerFolder, serverProcess } from "./server-process.ts";

export interface Rabbitmq extends Broker {
  /**
   * `amqp://guest:guest@127.0.0.1:<port>`. Other users, password `secret`: `leat` (may do anything) and `limited` (may
   * read queues and exchanges whose name begins with `allowed`, nothing else).
   */
  readonly url: string;
  readonly port: number;
  /** `amqps://leat:secret@localhost:<port>`, with `startRabbitmq({ secure: true })`; else empty, and no certificates. */
  readonly secureUrl: string;
  readonly certificates: Certificates | null;
  /** Runs rabbitmqctl (2 s of a core) and resolves with what it prints. */
  ctl(...args: string[]): Promise<string>;
}

export interface RabbitmqOptions {
  /** Lines for rabbitmq.conf. */
  readonly conf?: string;
  /** A listener with TLS. */
  readonly secure?: boolean;
}

/**
 * A RabbitMQ of our own: one node with an epmd of its own, all on loopback. Freezing and killing mean the Erlang VM;
 * rabbitmq-server's script has become it.
 */
export async function startRabbitmq(options: RabbitmqOptions = {}): Promise<Rabbitmq> {
  const folder = brokerFolder("rabbitmq");
  const [port, distPort, epmdPort] = [await brokerPort(), await brokerPort(), await brokerPort()];
  const certificates = options.secure === true ? makeCertificates(folder) : null;
  const tlsPort = certificates === null ? 0 : await brokerPort();
  const env = environment(folder, port, distPort, epmdPort);
  writeFileSync(join(folder, "definitions.json"), JSON.stringify(DEFINITIONS));
  writeFileSync(join(folder, "enabled_plugins"), "[].\n");
  writeFileSync(join(folder, "rabbitmq.conf"), configuration(folder, port, tlsPort, certificates, options));
  mkdirSync(join(folder, "mnesia"));

  const epmd = await startEpmd(epmdPort);
  const vm = serverProcess(folder, {
    name: "rabbitmq",
    command: [join(RABBITMQ, "bin/rabbitmq-server")],
    env,
    answers: async () => (await greets(port)) && (tlsPort === 0 || (await listens(tlsPort))),
    startMs: 60_000,
  });
  const rabbitmq: Rabbitmq = {
    ...vm,
    port,
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    secureUrl: tlsPort === 0 ? "" : `amqps://leat:secret@localhost:${tlsPort}`,
    certificates,
    async ctl(...args) {
      const { stdout } = await promisify(execFile)(join(RABBITMQ, "bin/rabbitmqctl"), ["-q", ...args], {
        env: { ...process.env, ...env },
      });
      return stdout;
    },
    async close() {
      await vm.close();
      const gone = once(epmd, "exit");
      epmd.kill("SIGKILL");
      await gone;
    },
  };
  try {
    await vm.start();
  } catch (error) {
    await rabbitmq.close();
    throw error;
  }
  return rabbitmq;
}

/** In the foreground: else the Erlang VM would start one that outlives everything. */
async function startEpmd(port: number): Promise<ChildProcess> {
  const command = ["--pdeathsig", "KILL", required("epmd"), "-address", "127.0.0.1", "-port", `${port}`];
  const epmd = spawn("setpriv", command, { stdio: "ignore" });
  await once(epmd, "spawn");
  await waitFor("epmd", () => listens(port));
  return epmd;
}

function environment(folder: string, port: number, distPort: number, epmdPort: number) {
  return {
    HOME: folder,
    RABBITMQ_NODENAME: `leat${port}@localhost`,
    RABBITMQ_NODE_PORT: `${port}`,
    RABBITMQ_DIST_PORT: `${distPort}`,
    ERL_EPMD_PORT: `${epmdPort}`,
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: folder,
    RABBITMQ_LOGS: "-",
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    // Without it the script stays between us and the VM, and signals reach only the script.
    RABBITMQ_ALLOW_INPUT: "yes",
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-noinput -kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
  };
}

function configuration(
  folder: string,
  port: number,
  tlsPort: number,
  certificates: Certificates | null,
  options: RabbitmqOptions,
): string {
  const tls =
    certificates === null
      ? []
      : [
          `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
          `ssl_options.cacertfile = ${certificates.ca}`,
          `ssl_options.certfile = ${certificates.server.cert}`,
          `ssl_options.keyfile = ${certificates.server.key}`,
          "ssl_options.verify = verify_peer",
          "ssl_options.fail_if_no_peer_cert = false",
        ];
  return [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    ...tls,
    "loopback_users = none",
    "disk_free_limit.absolute = 1MB",
    "log.console.level = warning",
    `load_definitions = ${join(folder, "definitions.json")}`,
    options.conf ?? "",
    "",
  ].join("\n");
}

/** Whether it speaks AMQP: a port that listens may belong to a node that is still booting. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("AMQP\x00\x00\x09\x01"));
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(5_000, () => end(false));
    socket.once("data", (chunk) => end(chunk[0] === 1));
    socket.once("error", () => end(false));
    socket.once("close", () => end(false));
  });
}

const user = (name: string, password: string) => ({ name, password, tags: "administrator" });
const permissions = (name: string, [configure, write, read]: readonly [string, string, string]) => {
  return { user: name, vhost: "/", configure, write, read };
};
const DEFINITIONS = {
  vhosts: [{ name: "/" }],
  users: [user("guest", "guest"), user("leat", "secret"), user("limited", "secret")],
  permissions: [
    permissions("guest", [".*", ".*", ".*"]),
    permissions("leat", [".*", ".*", ".*"]),
    permissions("limited", ["^$", "^$", "^allowed.*"]),
  ],
};
