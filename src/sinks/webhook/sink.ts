/** The `webhook` sink: one HTTP request for each delivery. */
import type { Message, PushedSink, PushedSinkType, Report } from "../../component.ts";
import { type WebhookConfig, webhookSchema } from "./config.ts";

class WebhookSink implements PushedSink {
  async start(): Promise<void> {}
  async deliver(_message: Message, _signal: AbortSignal): Promise<Report> {
    return { result: "failed", error: "unfinished", message: "not written yet" };
  }
  async stop(): Promise<void> {}
}

export const webhookSink: PushedSinkType<WebhookConfig> = {
  kind: "pushed",
  type: "webhook",
  description: "Sends each event as an HTTP request, signed if you like, and takes a 2xx for a yes.",
  schema: webhookSchema,
  templates: ["url", "path", "query"],
  givesBack: (config) => config.reply,
  create: () => new WebhookSink(),
};
