/** What the brokers of the tests are made of, and whether it is there. */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** Kafka's own jars, put there by `node test/prepare.ts`. */
export const KAFKA = {
  version: "4.1.1",
  folder: resolve(import.meta.dirname, "../../node_modules/.cache/leat-kafka/4.1.1"),
};

/** Debian's package `rabbitmq-server`: its own scripts, since those in /usr/sbin insist on the user rabbitmq. */
export const RABBITMQ = process.env.LEAT_RABBITMQ_HOME ?? "/usr/lib/rabbitmq";

/** Programs that Debian keeps in /usr/sbin are found whatever PATH says. */
export function program(name: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin"];
  return folders.map((folder) => join(folder, name)).find(executable) ?? null;
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Its path. Throws with the remedy: a broker that isn't there fails a test. */
export function required(name: string): string {
  const file = program(name);
  if (file === null) throw new Error(`'${name}' isn't installed: run 'node test/prepare.ts' as root`);
  return file;
}

/** The class path of Kafka's jars. Throws with the remedy. */
export function kafkaJars(): string {
  if (!existsSync(join(KAFKA.folder, "installed"))) {
    throw new Error("Kafka's jars aren't installed: run 'node test/prepare.ts'");
  }
  return join(KAFKA.folder, "*");
}
