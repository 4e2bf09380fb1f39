import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Kafka, logLevel } from "kafkajs";
import { mendKafkajs } from "../../src/brokers/kafka/kafkajs-mends.ts";
import { type Certificates, keyAndChain, makeCertificates } from "./certificates.ts";
import { brokerPort } from "./port.ts";
import { kafkaJars, required } from "./programs.ts";
import { type Broker, brokerFolder, serverProcess } from "./server-process.ts";

/** kafkajs alone warns of a time-out in the past at each connection. */
mendKafkajs();

export interface KafkaBroker extends Broker {
  /** `127.0.0.1:<port>`: no TLS, no password. Topics are made when asked for (`createTopics`), never by themselves. */
  readonly bootstrap: string;
  readonly port: number;
  /**
   * For a proxy between it and its clients: it listens on `target` and tells who comes there that it is at
   * `advertised`. So `startProxy(proxied.target, { port: proxied.advertised })`, and `127.0.0.1:<advertised>` as bootstrap.
   */
  readonly proxied: { readonly target: number; readonly advertised: number };
  /** With `startKafka({ secure: true })`; else null. */
  readonly secure: KafkaSecurity | null;
}

/**
 * SASL: user `leat` with password `secret` (plain, scram-sha-256, scram-sha-512) may do anything, `limited` with password
 * `secret` nothing at all.
 */
export interface KafkaSecurity {
  /** SASL without TLS. */
  readonly sasl: string;
  /** TLS; a client's certificate is required, and is all that it needs. */
  readonly tls: string;
  /** SASL over TLS. */
  readonly saslTls: string;
  readonly certificates: Certificates;
}

export interface KafkaOptions {
  readonly secure?: boolean;
  /** Lines for server.properties; they win. */
  readonly properties?: string;
}

/** A Kafka of our own: one node, broker and controller, no ZooKeeper, on loopback. Takes some 5 s and both cores. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaBroker> {
  const [java, jars] = [required("java"), kafkaJars()];
  const folder = brokerFolder("kafka");
  const [port, controller, target, advertised] = await Promise.all(Array.from({ length: 4 }, brokerPort));
  if (!port || !controller || !target || !advertised) throw new Error("no ports");
  const secure = options.secure === true ? await secureListeners(folder) : null;
  const properties = join(folder, "server.properties");
  writeFileSync(
    properties,
    [
      "process.roles=broker,controller",
      "node.id=1",
      `controller.quorum.voters=1@127.0.0.1:${controller}`,
      "controller.listener.names=CONTROLLER",
      "inter.broker.listener.name=PLAINTEXT",
      `listeners=CONTROLLER://127.0.0.1:${controller},PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${target}${secure?.listeners ?? ""}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${advertised}${secure?.listeners ?? ""}`,
      `listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT${secure?.protocols ?? ""}`,
      `log.dirs=${join(folder, "data")}`,
      "num.partitions=1",
      "auto.create.topics.enable=false",
      "offsets.topic.replication.factor=1",
      "offsets.topic.num.partitions=4",
      "transaction.state.log.replication.factor=1",
      "transaction.state.log.min.isr=1",
      "transaction.state.log.num.partitions=4",
      // After a kill -9 it comes back only once its old registration has run out.
      "broker.session.timeout.ms=2000",
      "broker.heartbeat.interval.ms=500",
      "group.initial.rebalance.delay.ms=0",
      "group.min.session.timeout.ms=1000",
      // A topic that is deleted is really gone soon, and one that is made anew is another.
      "log.segment.delete.delay.ms=1000",
      // Permissions are real, but what nobody has denied is allowed.
      "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users=User:ANONYMOUS;User:leat;User:CN=client",
      "allow.everyone.if.no.acl.found=false",
      ...(secure?.lines ?? []),
      options.properties ?? "",
      "",
    ].join("\n"),
  );
  // JAVA_TOOL_OPTIONS and the like would print into what is parsed, or take the memory that it doesn't need.
  const command = (heap: string, main: string) => [
    ...[java, `-Xmx${heap}`, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars],
    ...["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", main],
  ];
  const [program, ...args] = command("128m", "kafka.tools.StorageTool") as [string, ...string[]];
  const users = ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) =>
    ["leat", "limited"].flatMap((name) => ["--add-scram", `${mechanism}=[name=${name},password=secret]`]),
  );
  const format = ["format", "-t", "leat-test-cluster-0000", "-c", properties, ...(secure ? users : [])];
  await promisify(execFile)(program, [...args, ...format], { cwd: folder });

  const bootstrap = `127.0.0.1:${port}`;
  const broker = serverProcess(folder, {
    name: "kafka",
    command: [...command("512m", "kafka.Kafka"), properties],
    answers: () => answers(bootstrap),
    startMs: 60_000,
  });
  await broker.start();
  return { ...broker, port, bootstrap, proxied: { target, advertised }, secure: secure?.security ?? null };
}

/** Whether it knows itself as a broker. */
async function answers(bootstrap: string): Promise<boolean> {
  const kafka = new Kafka({
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry: { retries: 0 },
  });
  const admin = kafka.admin();
  try {
    await admin.connect();
    return (await admin.describeCluster()).brokers.length === 1;
  } catch {
    return false;
  } finally {
    await admin.disconnect();
  }
}

async function secureListeners(folder: string) {
  const certificates = makeCertificates(folder);
  const [sasl, tls, saslTls] = [await brokerPort(), await brokerPort(), await brokerPort()];
  const store = (listener: string) => [
    `listener.name.${listener}.ssl.keystore.type=PEM`,
    `listener.name.${listener}.ssl.keystore.location=${keyAndChain(folder, certificates.server, certificates.ca)}`,
    `listener.name.${listener}.ssl.truststore.type=PEM`,
    `listener.name.${listener}.ssl.truststore.location=${certificates.ca}`,
  ];
  const login = (listener: string) => [
    `listener.name.${listener}.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_leat="secret" user_limited="secret";`,
    ...["scram-sha-256", "scram-sha-512"].map(
      (mechanism) =>
        `listener.name.${listener}.${mechanism}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;`,
    ),
  ];
  const security: KafkaSecurity = {
    sasl: `127.0.0.1:${sasl}`,
    tls: `localhost:${tls}`,
    saslTls: `localhost:${saslTls}`,
    certificates,
  };
  return {
    security,
    listeners: `,SASL://127.0.0.1:${sasl},TLS://localhost:${tls},SASLTLS://localhost:${saslTls}`,
    protocols: ",SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL",
    lines: [
      "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
      ...login("sasl"),
      ...login("sasltls"),
      ...store("tls"),
      ...store("sasltls"),
      "listener.name.tls.ssl.client.auth=required",
      "listener.name.sasltls.ssl.client.auth=requested",
    ],
  };
}
