/** THE list of sources and sinks, one line each. A test checks it against the folders. */
import type { SinkType, SourceType } from "./component.ts";
import { kafkaSink } from "./sinks/kafka/sink.ts";
import { mqttSink } from "./sinks/mqtt/sink.ts";
import { rabbitmqSink } from "./sinks/rabbitmq/sink.ts";
import { sseSink } from "./sinks/sse/sink.ts";
import { stdoutSink } from "./sinks/stdout.ts";
import { webhookSink } from "./sinks/webhook/sink.ts";
import { websocketSink } from "./sinks/websocket/sink.ts";
import { kafkaSource } from "./sources/kafka/source.ts";
import { mqttSource } from "./sources/mqtt/source.ts";
import { rabbitmqSource } from "./sources/rabbitmq/source.ts";
import { webhookSource } from "./sources/webhook/source.ts";

export const sourceTypes: readonly SourceType[] = [webhookSource, kafkaSource, mqttSource, rabbitmqSource];

export const sinkTypes: readonly SinkType[] = [
  webhookSink,
  stdoutSink,
  sseSink,
  websocketSink,
  kafkaSink,
  mqttSink,
  rabbitmqSink,
];
