/**
 * Push: events of a webhook to 1,000 readers of a stream, against a bare broadcaster in the same run; how many a second
 * at most; what 10,000 connections take; and what it takes when 2,000 come back at once. The readers are a process of
 * their own (push-readers.ts), the sender is this one.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { inFolder, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { freePort, type Server, startServer } from "./process.ts";
import type { Kind, Order, Result } from "./push-readers.ts";
import type { Row } from "./row.ts";
import { inTurns, type Turns } from "./turns.ts";

const READERS = 1000;
const PER_SECOND = 50;
const BODY_BYTES = 200;

/** Requests at once, where as much is sent as is taken. */
const SENDERS = 16;
/** Messages of one turn at saturation. */
const BURST = 500;

const CONFIG = `
sinks:
  events: { type: sse, path: /events, auth: { type: none }, limits: { connections: 20000 } }
  live: { type: websocket, path: /live, auth: { type: none }, channels: [all], limits: { connections: 20000 } }
routes:
  sse: { from: sse, to: { sink: events, channel: all } }
  websocket: { from: websocket, to: { sink: live, channel: all } }
`;
const SOURCES = `
sources:
  sse: { type: webhook, path: /in/sse, verify: { type: none } }
  websocket: { type: webhook, path: /in/websocket, verify: { type: none } }
`;
const PATHS = { sse: "/events", websocket: "/live" } as const;
const AGAINST = {
  sse: "a node:http server that writes each body, made once, to each socket",
  websocket: "a ws server that writes each body, made once, to each socket",
} as const;

export const pushSse = (options: Options) => steady("sse", options);
export const pushWebsocket = (options: Options) => steady("websocket", options);
export const pushSaturated = (options: Options) => saturated(options);
export const pushConnections = () => connections();
export const pushResume = (options: Options) => resume(options);

// ---------------------------------------------------------------------------------------------------------- the rows

async function steady(kind: Kind, { rounds, seconds }: Options): Promise<Row[]> {
  const turns = await both(kind, rounds, (server, readers) => steadyTurn(server, readers, kind, seconds));
  const name = kind === "sse" ? "SSE" : "WebSocket";
  const row = (what: string, unit: string, field: "cpuMicros" | "p99Ms", most: number): Row => ({
    row: `push, ${name}: ${what}`,
    unit,
    leat: turns.of("leat", field),
    baseline: turns.of("baseline", field),
    against: AGAINST[kind],
    compared: { by: "ratio", value: turns.ratio(field) },
    bar: { most },
    more:
      field === "cpuMicros"
        ? {
            lost: sum(turns, "lost"),
            repeated: sum(turns, "repeated"),
            deliveries: turns.of("leat", "messages"),
          }
        : { leatP50Ms: turns.of("leat", "p50Ms"), baselineP50Ms: turns.of("baseline", "p50Ms") },
  });
  return [row("processor time", "µs a delivery", "cpuMicros", 1.15), row("p99", "ms", "p99Ms", 1.25)];
}

async function saturated({ rounds }: Options): Promise<Row[]> {
  const turns = await both("sse", rounds, saturatedTurn);
  return [
    {
      row: "push, SSE, at saturation",
      unit: "deliveries/s",
      leat: turns.of("leat", "perSecond"),
      baseline: turns.of("baseline", "perSecond"),
      against: `${AGAINST.sse}, one write a message`,
      compared: { by: "ratio", value: turns.ratio("perSecond") },
      bar: { least: 3 },
      more: { leatMessages: turns.of("leat", "messages"), leatCpuMicros: turns.of("leat", "cpuMicros") },
    },
  ];
}

const CONNECTIONS = { few: 100, many: 10_000 };

async function connections(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of ["sse", "websocket"] as const) {
    const [leat, bare] = [await memory(kind, leatServer), await memory(kind, bareServer)];
    const name = kind === "sse" ? "SSE" : "WebSocket";
    rows.push({
      row: `push, ${name}: memory`,
      unit: "KiB a connection",
      leat: leat.kibEach,
      baseline: bare.kibEach,
      against: AGAINST[kind],
      compared: {
        by: kind === "sse" ? "ratio" : "difference",
        value: kind === "sse" ? leat.kibEach / bare.kibEach : leat.kibEach,
      },
      bar: { most: kind === "sse" ? 1.3 : 12 },
      more: { idleCpuPercent: leat.idlePercent },
    });
  }
  return rows;
}

const COMING_BACK = 2000;
const BEHIND = 1000;

async function resume({ rounds }: Options): Promise<Row[]> {
  const turns = await inTurns(
    Math.min(rounds, 3),
    () => resumeTurn(leatServer),
    () => resumeTurn(bareServer),
  );
  const row = (what: string, field: "seconds" | "liveP99Ms", unit: string): Row => ({
    row: `push: ${COMING_BACK} come back, ${BEHIND} behind: ${what}`,
    unit,
    leat: turns.of("leat", field),
    baseline: turns.of("baseline", field),
    against: "a node:http server that has it all in memory, made once",
    compared: { by: "ratio", value: turns.ratio(field) },
    bar: null,
    more: field === "seconds" ? { lost: sum(turns, "lost") } : {},
  });
  return [row("until all have it", "seconds", "s"), row("live p99 meanwhile", "liveP99Ms", "ms")];
}

// --------------------------------------------------------------------------------------------------------- the turns

async function steadyTurn(server: Server, readers: Readers, kind: Kind, seconds: number) {
  await readers.ask({ do: "count", latency: true });
  const cpu = server.cpuSeconds();
  const all = Math.round(seconds * PER_SECOND);
  await send(server, `/in/${kind}`, all, PER_SECOND);
  const result = (await readers.ask({ do: "await", each: all, ms: 10_000 })) as Result;
  const expected = all * READERS;
  const lost = expected - result.messages + result.repeated;
  return { ...result, lost, cpuMicros: ((server.cpuSeconds() - cpu) / result.messages) * 1e6 };
}

async function saturatedTurn(server: Server, readers: Readers) {
  await readers.ask({ do: "count", latency: false });
  const cpu = server.cpuSeconds();
  const begun = hrtimeMs();
  const done = readers.ask({ do: "await", each: BURST, ms: 60_000 });
  await send(server, "/in/sse", BURST, null);
  const result = (await done) as Result;
  if (result.messages < BURST * READERS) throw new Error(`${server.url}: only ${result.messages} came`);
  const perSecond = (result.messages / (result.doneAt - begun)) * 1000;
  return { perSecond, messages: BURST, cpuMicros: ((server.cpuSeconds() - cpu) / result.messages) * 1e6 };
}

async function memory(kind: Kind, start: Start): Promise<{ kibEach: number; idlePercent: number }> {
  return inFolder(async (folder, started) => {
    const server = started(await start(folder));
    const readers = started(await startReaders());
    const url = `${server.url}${PATHS[kind]}`;
    await readers.ask({ do: "open", kind, url, count: CONNECTIONS.few });
    const before = await server.collectedBytes();
    await readers.ask({ do: "open", kind, url, count: CONNECTIONS.many });
    const after = await server.collectedBytes();
    const cpu = server.cpuSeconds();
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idle = (server.cpuSeconds() - cpu) / ((performance.now() - begun) / 1000);
    return { kibEach: (after - before) / 1024 / CONNECTIONS.many, idlePercent: idle * 100 };
  });
}

const IDLE_MS = 5000;

async function resumeTurn(start: Start) {
  return inFolder(async (folder, started) => {
    const server = started(await start(folder));
    const [back, live] = [started(await startReaders()), started(await startReaders())];
    const first = await post(server, "/in/sse?keep", numbered(0));
    await send(server, "/in/sse?keep", BEHIND, null);
    await live.ask({ do: "open", kind: "sse", url: `${server.url}/events`, count: 10 });
    await live.ask({ do: "count", latency: true });
    const begun = hrtimeMs();
    const url = `${server.url}/events?replay=${BEHIND}`;
    await back.ask({ do: "count", latency: false });
    const opened = back.ask({ do: "open", kind: "sse", url, count: COMING_BACK, last: String(first) });
    const sent = send(server, "/in/sse", 100, PER_SECOND);
    await opened;
    const result = (await back.ask({ do: "await", each: BEHIND, ms: 60_000 })) as Result;
    await sent;
    const lived = (await live.ask({ do: "await", each: 100, ms: 10_000 })) as Result;
    const lost = result.messages < BEHIND * COMING_BACK ? BEHIND * COMING_BACK - result.messages : 0;
    return { seconds: (result.doneAt - begun) / 1000, liveP99Ms: lived.p99Ms, lost };
  });
}

// ----------------------------------------------------------------------------------------------- servers and readers

/** A server that tells what it takes after a collection. */
interface Measured extends Server {
  collectedBytes(): Promise<number>;
}

type Start = (folder: string) => Promise<Measured>;

/** `collect.ts` runs the garbage collector at a signal. */
const COLLECTS = {
  NODE_OPTIONS: `--expose-gc --import ${new URL("collect.ts", import.meta.url).href}`,
};

async function leatServer(folder: string): Promise<Measured> {
  return measured(await startLeat({ config: CONFIG, sources: SOURCES, folder, env: COLLECTS }));
}

async function bareServer(folder: string): Promise<Measured> {
  const port = await freePort();
  const args = [new URL("bare-push.ts", import.meta.url).pathname, String(port)];
  return measured(await startServer({ args, url: `http://127.0.0.1:${port}`, cwd: folder, env: COLLECTS }));
}

function measured(server: Server): Measured {
  return {
    ...server,
    async collectedBytes() {
      // What a collection has emptied is given back to the machine a while later.
      let least = Number.POSITIVE_INFINITY;
      for (let time = 0; time < 5; time++) {
        process.kill(server.pid, "SIGUSR2");
        await new Promise((resolve) => setTimeout(resolve, 700));
        const pages = Number(readFileSync(`/proc/${server.pid}/statm`, "utf8").split(" ")[1]);
        least = Math.min(least, pages * 4096);
      }
      return least;
    },
  };
}

function both<T extends { readonly [K in keyof T]: number }>(
  kind: Kind,
  rounds: number,
  turn: (server: Server, readers: Readers) => Promise<T>,
): Promise<Turns<T>> {
  return inFolder(async (folder, started) => {
    const sides = [];
    for (const start of [leatServer, bareServer]) {
      const server = started(await start(folder));
      const readers = started(await startReaders());
      await readers.ask({ do: "open", kind, url: `${server.url}${PATHS[kind]}`, count: READERS });
      sides.push(() => turn(server, readers));
    }
    const [leat, bare] = sides as [() => Promise<T>, () => Promise<T>];
    return inTurns(rounds, leat, bare);
  });
}

interface Readers {
  ask(order: Order): Promise<unknown>;
  stop(): Promise<void>;
}

async function startReaders(): Promise<Readers> {
  const child: ChildProcess = fork(new URL("push-readers.ts", import.meta.url).pathname);
  const end = () => child.kill("SIGKILL");
  process.once("exit", end);
  return {
    async ask(order) {
      child.send(order);
      const [answer] = await once(child, "message");
      return answer;
    },
    async stop() {
      process.off("exit", end);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

// ---------------------------------------------------------------------------------------------------------- the sender

const hrtimeMs = () => Number(process.hrtime.bigint()) / 1e6;
let number = 0;

function numbered(n: number): string {
  const head = `{"n":${n},"t":${process.hrtime.bigint()},"pad":"`;
  return `${head}${"x".repeat(BODY_BYTES - head.length - 2)}"}`;
}

/** So many a second; null: as fast as they are taken, some at once. */
async function send(server: Server, path: string, count: number, perSecond: number | null): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: SENDERS });
  const from = number;
  number += count;
  try {
    if (perSecond !== null) {
      const begun = performance.now();
      const posts: Promise<unknown>[] = [];
      for (let n = 0; n < count; n++) {
        const due = begun + (n * 1000) / perSecond;
        if (due > performance.now())
          await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
        posts.push(post(server, path, numbered(from + n), agent));
      }
      await Promise.all(posts);
      return;
    }
    let next = from;
    const one = async () => {
      while (next < from + count) await post(server, path, numbered(next++), agent);
    };
    await Promise.all(Array.from({ length: SENDERS }, one));
  } finally {
    agent.destroy();
  }
}

/** Resolves with the event's seq, 0 where the server has none. */
function post({ url }: Server, path: string, body: string, agent?: Agent): Promise<number> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    request(`${url}${path}`, { method: "POST", headers, ...(agent && { agent }) }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode !== 200) reject(new Error(`${url}${path} answered ${response.statusCode}`));
        else resolve(Number(/"seq":(\d+)/.exec(text)?.[1] ?? 0));
      });
    })
      .on("error", reject)
      .end(body);
  });
}

function sum<T extends { readonly [K in keyof T]: number }>(turns: Turns<T>, field: keyof T): number {
  return turns.leat.reduce((total, turn) => total + turn[field], 0);
}
