/** kafkajs, mended, and loaded only once a client is made: it takes a tenth of a second and megabytes, wanted or not. */
import { createRequire } from "node:module";
import { mendKafkajs } from "./kafkajs-mends.ts";

const require = createRequire(import.meta.url);

export function kafkajs(): typeof import("kafkajs") {
  mendKafkajs();
  return require("kafkajs");
}
