/**
 * End to end: webhooks/s from a sender through Leat to a receiver, against glue written by hand. The clock runs from the
 * sender's first until the receiver's last. The glue answers after the receiver did, so nothing can pile up in it; Leat
 * answers once it has an event on disk. What waits in it when the sender stops is therefore told (`waiting`): about as many
 * as there are connections, if its backlog doesn't grow.
 */
import { inFolder, type Leat, PATH, startLeat } from "./leat.ts";
import type { Options } from "./measurements.ts";
import { type Server, startScript } from "./process.ts";
import type { Row } from "./row.ts";
import { total } from "./scrape.ts";
import { inTurns, type Turns } from "./turns.ts";
import { wrk } from "./wrk.ts";

/** As many attempts at once as the sender has connections, and the glue's pool too. */
const SINK = (url: string) => `sinks: { out: { type: webhook, url: "${url}/", concurrency: 64 } }`;

const PLAIN = "routes: { all: { from: github, to: out } }";
/** The same is in glue.ts by hand. */
const TRANSFORM = `
routes:
  all:
    from: github
    where: body.action = "opened" and body.number > 10
    to: out
    transform:
      event: "{{ type }}"
      action: "{{ body.action }}"
      number: "{{ body.number }}"
      title: "{{ body.pull_request.title }}"
      state: "{{ body.pull_request.state }}"
      commits: "{{ body.pull_request.commits }}"
      repository: "{{ body.repository.full_name }}"
      language: "{{ body.repository.language }}"
      sender: "{{ body.sender.login }}"
      summary: "{{ body.sender.login }} opened #{{ body.number }} in {{ body.repository.full_name }}"
`;

/** So long without another arrival, once all that were promised are there, is the end. */
const SETTLED_MS = 50;

interface Turn {
  readonly perSecond: number;
  readonly cpuMicros: number;
  /** Events that wait in Leat, at the load's end. */
  readonly waiting: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export async function endToEnd(options: Options): Promise<Row[]> {
  return rowsOf("end to end", await measure(options, PLAIN, []), { least: 0.75 });
}

export async function endToEndTransform(options: Options): Promise<Row[]> {
  return rowsOf("end to end, where and transform", await measure(options, TRANSFORM, ["transform"]), null);
}

function measure({ rounds, seconds }: Options, routes: string, extra: string[]): Promise<Turns<Turn>> {
  return inFolder(async (folder, started) => {
    const receiver = started(await startScript("receiver.ts", folder));
    const config = `${SINK(receiver.url)}\n${routes}`;
    const leat = started(await startLeat({ config, folder }));
    const glue = started(await startScript("glue.ts", folder, receiver.url, ...extra));
    return inTurns(
      rounds,
      () => turn(leat, receiver, seconds, leat),
      () => turn(glue, receiver, seconds, null),
    );
  });
}

async function turn(server: Server, receiver: Server, seconds: number, leat: Leat | null): Promise<Turn> {
  const before = await arrived(receiver);
  const cpu = server.cpuSeconds();
  const start = process.hrtime.bigint();
  const load = await wrk({ url: server.url, path: PATH, seconds });
  const waiting = leat === null ? 0 : total(await leat.metrics(), "leat_unsettled");
  const { count, last } = await allArrived(receiver, before.count + load.requests);
  const events = count - before.count;
  return {
    perSecond: events / (Number(last - start) / 1e9),
    cpuMicros: ((server.cpuSeconds() - cpu) / events) * 1e6,
    waiting,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
  };
}

export interface Arrived {
  readonly count: number;
  /** `process.hrtime` of the last one. */
  readonly last: bigint;
}

export async function arrived(receiver: Server): Promise<Arrived> {
  const { count, last } = (await (await fetch(receiver.url)).json()) as { count: number; last: string };
  return { count, last: BigInt(last) };
}

/** Requests that the sender gave up when its time was over may arrive too: it has ended once nothing more comes. */
async function allArrived(receiver: Server, atLeast: number): Promise<Arrived> {
  const deadline = performance.now() + 60_000;
  let before = await arrived(receiver);
  while (performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const now = await arrived(receiver);
    if (now.count >= atLeast && now.count === before.count) return now;
    before = now;
  }
  throw new Error(`the receiver has ${before.count} of ${atLeast}`);
}

function rowsOf(row: string, turns: Turns<Turn>, bar: Row["bar"]): Row[] {
  const against = "a Fastify with an undici pool";
  return [
    {
      row,
      unit: "webhooks/s",
      leat: turns.of("leat", "perSecond"),
      baseline: turns.of("baseline", "perSecond"),
      against,
      compared: { by: "ratio", value: turns.ratio("perSecond") },
      bar,
      more: {
        waiting: turns.of("leat", "waiting"),
        leatP50Ms: turns.of("leat", "p50Ms"),
        leatP99Ms: turns.of("leat", "p99Ms"),
      },
    },
    {
      row: `${row}: processor time`,
      unit: "µs an event",
      leat: turns.of("leat", "cpuMicros"),
      baseline: turns.of("baseline", "cpuMicros"),
      against,
      compared: { by: "ratio", value: turns.ratio("cpuMicros") },
      bar: null,
      more: {},
    },
  ];
}
