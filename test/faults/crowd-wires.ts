/** How a member of a crowd speaks with a stream: what it sends, and what it makes of what comes. */
import { randomBytes } from "node:crypto";
import { frame, PING, PONG, TEXT } from "../sinks/websocket/raw.ts";

/** What a wire tells of what it was told. */
export interface WireOwner {
  /** It is let in and reads. */
  up(): void;
  /** Come back after so long. */
  retry(ms: number): void;
  event(seq: number, data: string): void;
  /** Everything up to here was given. */
  place(id: string): void;
  gap(): void;
  answer(bytes: Uint8Array): void;
}

export interface Wire {
  /** `since`: where it has been; empty: nowhere. */
  hello(url: URL, since: string): string;
  take(chunk: Buffer): void;
}

export const WIRES = {
  sse: (owner: WireOwner): Wire => new SseWire(owner),
  websocket: (owner: WireOwner): Wire => new WebSocketWire(owner),
};

/** Bytes of a message that hold its fields but `data`, and when it was sent. */
const HEAD = 200;

class SseWire implements Wire {
  readonly #owner: WireOwner;
  #rest = "";

  constructor(owner: WireOwner) {
    this.#owner = owner;
  }

  hello({ pathname, search, host }: URL, since: string): string {
    const last = since === "" ? "" : `last-event-id: ${since}\r\n`;
    return `GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\naccept: text/event-stream\r\n${last}\r\n`;
  }

  take(chunk: Buffer): void {
    const blocks = (this.#rest + chunk.toString("latin1")).split("\n\n");
    // What no blank line has ended is dropped with its connection.
    this.#rest = blocks.pop() ?? "";
    for (const block of blocks) this.#block(block);
  }

  #block(block: string): void {
    let type = "message";
    let data = "";
    let id: string | null = null;
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data += line.slice(6);
      else if (line.startsWith("event: ")) type = line.slice(7);
      else if (line.startsWith("retry: ")) {
        this.#owner.retry(Number(line.slice(7)));
        this.#owner.up();
      }
    }
    if (type === "gap") this.#owner.gap();
    if (type === "message" && data !== "" && id !== null) this.#owner.event(Number(id), data);
    if (id !== null) this.#owner.place(id);
  }
}

class WebSocketWire implements Wire {
  readonly #owner: WireOwner;
  #subscribe: Buffer = Buffer.alloc(0);
  #rest: Buffer = Buffer.alloc(0);
  #welcome = false;

  constructor(owner: WireOwner) {
    this.#owner = owner;
  }

  hello({ pathname, search, host }: URL, since: string): string {
    this.#subscribe = frame(TEXT, JSON.stringify({ type: "subscribe", channel: "all", since }));
    const headers = [
      `host: ${host}`,
      "connection: Upgrade",
      "upgrade: websocket",
      "sec-websocket-version: 13",
      `sec-websocket-key: ${randomBytes(16).toString("base64")}`,
    ];
    return `GET ${pathname}${search} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`;
  }

  take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#welcome) {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.#rest = this.#rest.subarray(end + 4);
      this.#welcome = true;
      this.#owner.answer(this.#subscribe);
    }
    while (this.#frame());
  }

  #frame(): boolean {
    const rest = this.#rest;
    if (rest.length < 2) return false;
    const short = (rest[1] as number) & 0x7f;
    const at = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (rest.length < at) return false;
    const length =
      short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
    if (rest.length < at + length) return false;
    const opcode = (rest[0] as number) & 0x0f;
    const payload = rest.subarray(at, at + length);
    this.#rest = rest.subarray(at + length);
    if (opcode === PING) this.#owner.answer(frame(PONG, payload));
    // What comes first says all; thousands read the rest of it.
    if (opcode === TEXT) this.#told(payload.toString("latin1", 0, HEAD));
    return true;
  }

  #told(text: string): void {
    const [, type] = /^{"type":"(\w+)"/.exec(text) ?? [];
    const seq = Number(/"seq":(\d+)/.exec(text)?.[1]);
    if (type === "event") this.#owner.event(seq, text);
    if (type === "event" || type === "position" || type === "subscribed") this.#owner.place(String(seq));
    if (type === "subscribed") this.#owner.up();
    if (type === "gap") this.#owner.gap();
    if (type === "bye") this.#owner.retry(Number(/"retry_ms":(\d+)/.exec(text)?.[1]));
  }
}
