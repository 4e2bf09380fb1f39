/**
 * Readers of a push server, in a process of their own: raw sockets, so that little but the server is measured. Told by
 * messages what to open; tells what came. A message's body begins with `{"n":<number>,"t":<hrtime, ns>`.
 */
import { connect, type Socket } from "node:net";
import { quantile } from "./row.ts";

export type Order =
  /** Opens further readers and answers `opened` when all have had their first bytes. `last`: the id to resume from. */
  | {
      readonly do: "open";
      readonly count: number;
      readonly url: string;
      readonly kind: Kind;
      readonly last?: string;
    }
  /** From now on counts anew. `latency`: looks at each message, not only at their number. */
  | { readonly do: "count"; readonly latency: boolean }
  /** Answers `result` when each has had so many, or after `ms`. */
  | { readonly do: "await"; readonly each: number; readonly ms: number }
  | { readonly do: "close" };

export type Kind = "sse" | "websocket";

export interface Result {
  readonly messages: number;
  /** Over all readers: messages that they had before. */
  readonly repeated: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** When the last message came, hrtime in ms. */
  readonly doneAt: number;
}

/** Messages of one count, at most. */
const MOST = 8192;
const MARK = Buffer.from('{"n":');
const BODY = /\{"n":(\d+),"t":(\d+)/g;

interface Reader {
  readonly socket: Socket;
  readonly kind: Kind;
  messages: number;
  /** By number, modulo its length: which of this count came. */
  readonly seen: Uint8Array;
  /** The end of the chunk before, where a mark may have begun. */
  rest: Buffer | null;
}

let readers: Reader[] = [];
let latency = false;
let took: number[] = [];
let repeated = 0;
let doneAt = 0;
/** Messages each is to have, and how many readers haven't. */
let wanted = Number.POSITIVE_INFINITY;
let behind = 0;

const now = () => Number(process.hrtime.bigint()) / 1e6;

function open({ url, kind, last, count }: Extract<Order, { do: "open" }>): Promise<void> {
  const { hostname, port, pathname, search, host } = new URL(url);
  const upgrade = `upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.from("0123456789abcdef").toString("base64")}\r\nsec-websocket-protocol: leat.v1\r\n`;
  const head =
    `GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n` +
    (kind === "websocket" ? upgrade : "accept: text/event-stream\r\n") +
    (last === undefined ? "" : `last-event-id: ${last}\r\n`) +
    "\r\n";
  let left = count;
  return new Promise((resolve, reject) => {
    let begun = 0;
    const next = () => {
      if (begun === count) return;
      begun++;
      const socket = connect(Number(port), hostname);
      const reader: Reader = { socket, kind, messages: 0, seen: new Uint8Array(MOST), rest: null };
      readers.push(reader);
      socket.setNoDelay();
      socket.on("error", reject);
      socket.write(head);
      let ready = kind === "sse" ? "\n\n" : '"subscribed"';
      let text = "";
      const opening = (chunk: Buffer) => {
        text += chunk.toString("latin1");
        if (kind === "websocket" && text.includes('"welcome"') && ready !== "") {
          if (!text.includes(ready) && !text.includes("\0asked")) {
            socket.write(masked('{"type":"subscribe","channel":"all","ref":1}'));
            text += "\0asked";
          }
        }
        if (!text.includes(ready)) return;
        ready = "";
        socket.off("data", opening);
        socket.on("data", (bytes: Buffer) => take(reader, bytes));
        const end = kind === "sse" ? text.indexOf("\r\n\r\n") + 4 : text.length;
        take(reader, Buffer.from(text.slice(end), "latin1"));
        if (--left === 0) resolve();
        else next();
      };
      socket.on("data", opening);
    };
    for (let n = 0; n < Math.min(64, count); n++) next();
  });
}

/** Unasked: a server that hears nothing of its clients takes them for gone. */
const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]);
const PONG_MS = 5000;

setInterval(() => {
  for (const { socket, kind } of readers) if (kind === "websocket") socket.write(PONG);
}, PONG_MS).unref();

/** A client's text frame, of at most 125 bytes, with a mask of zeros. */
function masked(text: string): Buffer {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]), body]);
}

function take(reader: Reader, chunk: Buffer): void {
  const bytes = reader.rest === null ? chunk : Buffer.concat([reader.rest, chunk]);
  reader.rest = null;
  if (latency) look(reader, bytes);
  else count(reader, bytes);
}

function count(reader: Reader, bytes: Buffer): void {
  let at = bytes.indexOf(MARK);
  let found = 0;
  while (at >= 0) {
    found++;
    at = bytes.indexOf(MARK, at + MARK.length);
  }
  if (bytes.length >= MARK.length - 1) reader.rest = Buffer.from(bytes.subarray(1 - MARK.length));
  had(reader, found);
}

function look(reader: Reader, bytes: Buffer): void {
  const at = now();
  const text = bytes.toString("latin1");
  let found = 0;
  BODY.lastIndex = 0;
  let end = 0;
  for (let match = BODY.exec(text); match !== null; match = BODY.exec(text)) {
    // Its time may go on in the next chunk.
    if (BODY.lastIndex === text.length) break;
    end = BODY.lastIndex;
    found++;
    const n = Number(match[1]);
    repeated += reader.seen[n % MOST] as number;
    reader.seen[n % MOST] = 1;
    took.push(at - Number(match[2]) / 1e6);
  }
  const mark = text.lastIndexOf("{");
  if (mark >= end && text.length - mark < 60) reader.rest = Buffer.from(bytes.subarray(mark));
  had(reader, found);
}

function had(reader: Reader, found: number): void {
  if (found === 0) return;
  const before = reader.messages;
  doneAt = now();
  reader.messages += found;
  if (before < wanted && reader.messages >= wanted && --behind === 0) told?.();
}

let told: (() => void) | null = null;

async function awaitAll(each: number, ms: number): Promise<void> {
  wanted = each;
  behind = readers.filter(({ messages }) => messages < each).length;
  if (behind === 0) return;
  await new Promise<void>((resolve) => {
    told = resolve;
    setTimeout(resolve, ms);
  });
}

process.on("message", async (order: Order) => {
  if (order.do === "open") {
    await open(order);
    process.send?.("opened");
  } else if (order.do === "count") {
    latency = order.latency;
    [took, repeated, wanted] = [[], 0, Number.POSITIVE_INFINITY];
    for (const reader of readers) {
      [reader.messages, reader.rest] = [0, null];
      reader.seen.fill(0);
    }
    process.send?.("counting");
  } else if (order.do === "await") {
    await awaitAll(order.each, order.ms);
    const messages = readers.reduce((sum, reader) => sum + reader.messages, 0);
    const [p50Ms, p99Ms] = [quantile(took, 0.5), quantile(took, 0.99)];
    process.send?.({ messages, repeated, p50Ms, p99Ms, doneAt } satisfies Result);
  } else {
    for (const { socket } of readers) socket.destroy();
    readers = [];
    process.send?.("closed");
  }
});
