/**
 * Latency: at 200 events/s, from the moment a sender writes its webhook to the first byte of the event in an open SSE
 * response, against a bare node:http server that writes each posted body there. Sender and reader are this process.
 */
import { randomUUID } from "node:crypto";
import { Agent, get, type IncomingMessage, request } from "node:http";
import { inFolder, PATH, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { type Server, startScript } from "./process.ts";
import { quantile, type Row } from "./row.ts";
import { inTurns } from "./turns.ts";
import { sign } from "./wrk.ts";

const PER_SECOND = 200;
const CONFIG = `
sinks: { browser: { type: sse, path: /events, auth: { type: none } } }
routes: { all: { from: github, to: { sink: browser, channel: all } } }
`;
/** Longer than any event takes that still comes. */
const LAST_MS = 10_000;

interface Turn {
  readonly p50: number;
  readonly p99: number;
}

export function latency({ rounds, seconds }: Options): Promise<Row[]> {
  return inFolder(async (folder, started) => {
    const leat = started(await startLeat({ config: CONFIG, folder }));
    const bare = started(await startScript("bare-sse.ts", folder));
    const turns = await inTurns(
      rounds,
      () => turn(leat, seconds),
      () => turn(bare, seconds),
    );
    const row = (name: string, field: keyof Turn, bar: Row["bar"]): Row => ({
      row: name,
      unit: "ms",
      leat: turns.of("leat", field),
      baseline: turns.of("baseline", field),
      against: "a node:http server that writes each body to the reader",
      compared: { by: "difference", value: turns.difference(field) },
      bar,
      more: {},
    });
    return [row("accept to SSE byte, p50", "p50", { most: 5 }), row("accept to SSE byte, p99", "p99", null)];
  });
}

async function turn(server: Server, seconds: number): Promise<Turn> {
  const sent = new Map<string, number>();
  const took: number[] = [];
  const reader = await openReader(`${server.url}/events`);
  reader.setEncoding("latin1");
  reader.on("data", (text: string) => {
    const now = performance.now();
    // One chunk may hold several events; what is only an id's part is the next chunk's, which never happens on a
    // loopback with events this small.
    for (const [, id = ""] of text.matchAll(/"id":"([^"]+)"/g)) {
      const since = sent.get(id);
      if (since !== undefined) took.push(now - since);
    }
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  try {
    const all = seconds * PER_SECOND;
    const start = performance.now();
    await new Promise<void>((resolve, reject) => {
      const send = () => {
        const due = Math.min(all, Math.floor(((performance.now() - start) / 1000) * PER_SECOND) + 1);
        while (sent.size < due) post(server.url, agent, sent, reject);
        const wait = start + (sent.size / PER_SECOND) * 1000 - performance.now();
        if (sent.size < all) setTimeout(send, Math.max(0, wait));
        else resolve();
      };
      send();
    });
    const deadline = performance.now() + LAST_MS;
    while (took.length < all && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (took.length !== all) throw new Error(`${server.url}: ${took.length} of ${all} events came`);
    return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
  } finally {
    reader.destroy();
    agent.destroy();
  }
}

function openReader(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, headers: { accept: "text/event-stream" } }, (response) => {
      if (response.statusCode === 200) resolve(response);
      else reject(new Error(`${url} answered ${response.statusCode}`));
    }).on("error", reject);
  });
}

function post(url: string, agent: Agent, sent: Map<string, number>, failed: (error: Error) => void): void {
  const id = randomUUID();
  const body = JSON.stringify({ id, pad: "x".repeat(800 - 55) });
  const headers = {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-github-event": "push",
    "x-github-delivery": id,
    "x-hub-signature-256": sign(body),
  };
  sent.set(id, performance.now());
  request(`${url}${PATH}`, { method: "POST", agent, headers }, (response) => {
    response.resume();
    if (response.statusCode !== 200) failed(new Error(`${url} answered ${response.statusCode}`));
  })
    .on("error", failed)
    .end(body);
}
