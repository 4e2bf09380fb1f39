import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { brokerPort, listens } from "./port.ts";
import { required } from "./programs.ts";
import { type Broker, brokerFolder, serverProcess } from "./server-process.ts";

export interface Mosquitto extends Broker {
  /** `mqtt://127.0.0.1:<port>`: anybody may do anything. */
  readonly url: string;
  readonly port: number;
  /**
   * `mqtts://localhost:<port>`, with `startMosquitto({ secure: true })`: wants user `leat` with password `secret`, or
   * `limited` with password `secret`, who may read `allowed/#` and nothing else; certificates of clients are looked at
   * where they give one. Else empty, and no certificates.
   */
  readonly secureUrl: string;
  readonly certificates: Certificates | null;
  /** As `secureUrl`, without TLS: `mqtt://127.0.0.1:<port>` for passwords. */
  readonly passwordUrl: string;
}

export interface MosquittoOptions {
  /** Lines for mosquitto.conf, at its global part. */
  readonly conf?: string;
  /** Listeners with passwords, and with TLS too. */
  readonly secure?: boolean;
}

/**
 * A Mosquitto of our own with persistence. It writes its sessions and queues when it ends by `stop`; a `kill` loses what
 * came since, unless `conf` says `autosave_interval 1` and `autosave_on_changes true`.
 */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const mosquitto = required("mosquitto");
  const folder = brokerFolder("mosquitto");
  const port = await brokerPort();
  const secure = options.secure === true ? await secureListeners(folder) : null;
  const conf = join(folder, "mosquitto.conf");
  writeFileSync(
    conf,
    [
      "per_listener_settings true",
      // Started by root it would become the user mosquitto, who can't write here.
      "user root",
      "persistence true",
      `persistence_location ${folder}/`,
      "log_dest stdout",
      "log_type error",
      "log_type warning",
      "log_type notice",
      // Its default of 1000 messages a client drops the rest in silence: the ledger would blame us.
      "max_queued_messages 0",
      options.conf ?? "",
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      ...(secure?.lines ?? []),
      "",
    ].join("\n"),
  );
  const broker = serverProcess(folder, {
    name: "mosquitto",
    command: [mosquitto, "-c", conf],
    answers: () => listens(port),
    startMs: 20_000,
  });
  await broker.start();
  return {
    ...broker,
    port,
    url: `mqtt://127.0.0.1:${port}`,
    secureUrl: secure === null ? "" : `mqtts://localhost:${secure.tlsPort}`,
    passwordUrl: secure === null ? "" : `mqtt://127.0.0.1:${secure.passwordPort}`,
    certificates: secure?.certificates ?? null,
  };
}

async function secureListeners(folder: string) {
  const certificates = makeCertificates(folder);
  const [tlsPort, passwordPort] = [await brokerPort(), await brokerPort()];
  const [passwords, acl] = [join(folder, "passwords"), join(folder, "acl")];
  writeFileSync(passwords, "");
  chmodSync(passwords, 0o600);
  for (const user of ["leat", "limited"]) {
    execFileSync(required("mosquitto_passwd"), ["-b", passwords, user, "secret"], { stdio: "pipe" });
  }
  writeFileSync(acl, "user leat\ntopic readwrite #\n\nuser limited\ntopic read allowed/#\n");
  const login = ["allow_anonymous false", `password_file ${passwords}`, `acl_file ${acl}`];
  const { ca, server } = certificates;
  const tls = [
    `cafile ${ca}`,
    `certfile ${server.cert}`,
    `keyfile ${server.key}`,
    "require_certificate false",
  ];
  return {
    certificates,
    tlsPort,
    passwordPort,
    lines: [
      `listener ${passwordPort} 127.0.0.1`,
      ...login,
      `listener ${tlsPort} 127.0.0.1`,
      ...login,
      ...tls,
    ],
  };
}
