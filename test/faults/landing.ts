/** A receiver that knows what arrived without keeping it, so that a million events fit; it can be told to misbehave. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Sent, Timed } from "./traffic.ts";

export interface Landed extends Sent {
  readonly headers: IncomingHttpHeaders;
}

export interface Landing {
  readonly url: string;
  /** How often each event was answered 2xx, in the order of the first time. */
  readonly taken: ReadonlyMap<string, number>;
  /** Requests, with those that were not answered 2xx. */
  readonly requests: number;
  /** Of each event's first arrival that was answered 2xx: when it was sent, and how long it took to arrive, in ms. */
  readonly arrivals: readonly Timed[];
  /** Ids whose webhook-id was not always the same. */
  readonly unstable: number;
  /** What a request is answered: a status, or null for what it does with the response itself. Default: 200. */
  answer(landed: Landed, response: ServerResponse): number | null | Promise<number | null>;
  /** May be called again. */
  close(): Promise<void>;
}

/** `{"id":"…","key":"…","n":1,"at":1.5`, however long what follows is. */
const HEAD = /^\{"id":"([^"]*)","key":"([^"]*)","n":(\d+),"at":([\d.]+)/;
const HEAD_BYTES = 512;

/** @param keepAliveMs how long it leaves an idle connection open; as Node does */
export async function makeLanding(port = 0, keepAliveMs = 5000): Promise<Landing> {
  const taken = new Map<string, number>();
  const webhookIds = new Map<string, string>();
  const arrivals: Timed[] = [];
  const unstable = new Set<string>();
  let requests = 0;

  const server = createServer((request, response) => {
    let head = "";
    request.on("data", (chunk: Buffer) => {
      if (head.length < HEAD_BYTES) head += chunk.toString("latin1", 0, HEAD_BYTES);
    });
    request.on("end", async () => {
      const now = performance.now();
      const found = HEAD.exec(head);
      if (found === null) {
        response.writeHead(400).end();
        return;
      }
      const [, id = "", key = "", n, at] = found;
      const landed = { id, key, n: Number(n), at: Number(at), headers: request.headers };
      requests++;
      const webhookId = String(request.headers["webhook-id"]);
      if ((webhookIds.get(id) ?? webhookId) !== webhookId) unstable.add(id);
      webhookIds.set(id, webhookId);
      const status = await landing.answer(landed, response);
      if (status === null || response.destroyed) return;
      if (status < 300) take(landed, now);
      response.writeHead(status).end();
    });
  });

  function take({ id, at }: Sent, now: number): void {
    const count = taken.get(id) ?? 0;
    taken.set(id, count + 1);
    if (count === 0) arrivals.push({ at, ms: now - at });
  }

  server.keepAliveTimeout = keepAliveMs;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const landing: Landing = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken,
    arrivals,
    get requests() {
      return requests;
    },
    get unstable() {
      return unstable.size;
    },
    answer: () => 200,
    async close() {
      if (!server.listening) return;
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return landing;
}

/** Those of `promised` that never arrived. */
export function missing(promised: ReadonlyMap<string, unknown>, { taken }: Landing): string[] {
  return [...promised.keys()].filter((id) => !taken.has(id));
}

/** How many events arrived for the first time behind a later one of their key, `seq` saying which is later. */
export function disorder(
  promised: { get(id: string): { readonly key: string; readonly seq: number } | undefined },
  { taken }: Landing,
): number {
  const last = new Map<string, number>();
  let found = 0;
  for (const id of taken.keys()) {
    const event = promised.get(id);
    if (event === undefined) continue;
    if (event.seq < (last.get(event.key) ?? 0)) found++;
    else last.set(event.key, event.seq);
  }
  return found;
}
