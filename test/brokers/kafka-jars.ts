import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { KAFKA, required } from "./programs.ts";

/** No package of Debian's has Kafka: its jars and theirs come by Maven. slf4j-simple writes its log to stderr. */
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>leat</groupId>
  <artifactId>test-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA.version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`;

/** Puts Kafka's jars where `kafkaJars()` looks for them, whole or not at all; nothing where they are there. */
export function installKafka(): void {
  if (existsSync(join(KAFKA.folder, "installed"))) return;
  const folder = mkdtempSync(join(tmpdir(), "leat-kafka-jars-"));
  try {
    writeFileSync(join(folder, "pom.xml"), POM);
    const jars = join(folder, "jars");
    const goal = ["dependency:copy-dependencies", `-DoutputDirectory=${jars}`];
    execFileSync(required("mvn"), ["-q", "-B", ...goal], { cwd: folder, stdio: "inherit" });
    writeFileSync(join(jars, "installed"), KAFKA.version);
    rmSync(KAFKA.folder, { recursive: true, force: true });
    mkdirSync(dirname(KAFKA.folder), { recursive: true });
    // The temporary folder may be another file system.
    execFileSync("cp", ["-r", jars, `${KAFKA.folder}.new`]);
    renameSync(`${KAFKA.folder}.new`, KAFKA.folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
