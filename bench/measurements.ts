/** What the bench measures, by name. */
import { ingestKafka, ingestMqtt, ingestRabbitmq } from "./broker-ingest.ts";
import { catchUp } from "./catch-up.ts";
import { endToEnd, endToEndTransform } from "./end-to-end.ts";
import { growth } from "./growth.ts";
import { ingest, ingestSlowDisk } from "./ingest.ts";
import { kafkaToWebhook } from "./kafka-webhook.ts";
import { latency } from "./latency.ts";
import { pushConnections, pushResume, pushSaturated, pushSse, pushWebsocket } from "./push.ts";
import type { Row } from "./row.ts";
import { webhookToKafka } from "./webhook-kafka.ts";

export interface Options {
  /** Pairs of turns. */
  readonly rounds: number;
  /** How long a turn is. */
  readonly seconds: number;
  /** Events that the grown journal keeps. */
  readonly kept: number;
  /** Where to put the grown journal, and keep it for the next run; null: in the temporary folder, for this run. */
  readonly journal: string | null;
  /** Events that wait for the sink that comes back. */
  readonly waiting: number;
}

export const MEASUREMENTS = {
  ingest,
  "ingest-slow-disk": ingestSlowDisk,
  "end-to-end": endToEnd,
  "end-to-end-transform": endToEndTransform,
  latency,
  growth,
  "catch-up": catchUp,
  "ingest-kafka": ingestKafka,
  "ingest-mqtt": ingestMqtt,
  "ingest-rabbitmq": ingestRabbitmq,
  "kafka-webhook": kafkaToWebhook,
  "webhook-kafka": webhookToKafka,
  "push-sse": pushSse,
  "push-websocket": pushWebsocket,
  "push-saturated": pushSaturated,
  "push-connections": pushConnections,
  "push-resume": pushResume,
} satisfies Record<string, (options: Options) => Promise<Row[]>>;

export type MeasurementName = keyof typeof MEASUREMENTS;

export function isMeasurement(name: string): name is MeasurementName {
  return Object.hasOwn(MEASUREMENTS, name);
}
