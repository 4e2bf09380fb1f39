/** Receivers and messages for the tests of the webhook sink. */
import { createServer, type IncomingHttpHeaders, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { Message, PushedSink, Report } from "../../../src/component.ts";
import type { Event } from "../../../src/event.ts";
import { systemClock } from "../../../src/ports.ts";
import { webhookSink } from "../../../src/sinks/webhook/sink.ts";
import { newEvent, silent } from "../../delivery/kit.ts";

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function listening(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An HTTP receiver that keeps what it got, and answers as told. */
export async function receiver(
  t: TestContext,
  answer: RequestListener = (_request, response) => response.end(),
): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      received.push({ method, url, headers, body: Buffer.concat(chunks) });
      answer(request, response);
    });
  });
  return { url: `http://${await listening(t, server)}`, received };
}

/** A receiver below HTTP: does what it likes with each connection. */
export async function rawReceiver(t: TestContext, connected: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    connected(socket);
  });
  return `http://${await listening(t, server)}`;
}

export function message(over: Partial<Message> & { event?: Event } = {}): Message {
  const event: Event = over.event ?? { ...newEvent({ source: "stripe" }), seq: 1795224065810042 };
  return {
    event,
    body: event.body,
    contentType: "application/json",
    fields: {},
    route: "payments",
    subscription: "payments/billing",
    attempt: 1,
    replay: 0,
    hops: 1,
    ...over,
  };
}

/** A sink of this configuration, as YAML would have it. */
export async function webhook(t: TestContext, config: Record<string, unknown>): Promise<PushedSink> {
  const sink = webhookSink.create(webhookSink.schema.parse(config), {
    name: "billing",
    clock: systemClock,
    log: silent,
    stands: () => {},
    answerBytes: { failure: 1024, success: 256 },
  });
  await sink.start();
  t.after(() => sink.stop());
  return sink;
}

/** Delivers with a generous time-out. */
export function deliver(sink: PushedSink, over: Partial<Message> = {}, timeoutMs = 10_000): Promise<Report> {
  return sink.deliver(message(over), AbortSignal.timeout(timeoutMs));
}
