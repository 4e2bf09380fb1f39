/** A WebSocket by hand: frames that no client library would send. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { waitFor } from "../../wait-for.ts";

export const TEXT = 0x1;
export const BINARY = 0x2;
export const CONTINUATION = 0x0;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

export interface FrameOptions {
  readonly fin?: boolean;
  /** The three reserved bits, 0 to 7. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** What the header says, whatever the payload is. */
  readonly length?: bigint;
}

export function frame(
  opcode: number,
  payload: string | Uint8Array = "",
  { fin = true, reserved = 0, masked = true, length }: FrameOptions = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const said = length ?? BigInt(bytes.length);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  const head = [Buffer.from([first, mask | (said < 126n ? Number(said) : said < 65_536n ? 126 : 127)])];
  if (said >= 65_536n) {
    const long = Buffer.alloc(8);
    long.writeBigUInt64BE(said);
    head.push(long);
  } else if (said >= 126n) {
    const short = Buffer.alloc(2);
    short.writeUInt16BE(Number(said));
    head.push(short);
  }
  if (!masked) return Buffer.concat([...head, bytes]);
  const key = randomBytes(4);
  return Buffer.concat([...head, key, bytes.map((byte, at) => byte ^ (key[at % 4] as number))]);
}

export const closeFrame = (code: number, reason: string | Uint8Array = ""): Buffer => {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([head, Buffer.from(reason)]));
};

export interface Heard {
  readonly opcode: number;
  readonly reserved: number;
  readonly payload: Buffer;
}

export class RawSocket {
  readonly socket: Socket;
  /** The answer to the handshake. */
  head = "";
  ended = false;
  #rest = Buffer.alloc(0);
  readonly frames: Heard[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("close", () => {
      this.ended = true;
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("error", () => {});
  }

  /** Connects and asks for a WebSocket; `headers` replace ours, an empty one leaves it out. `early`: sent with them. */
  static async open(
    t: TestContext,
    url: string,
    headers: Record<string, string> = {},
    early: Uint8Array = Buffer.alloc(0),
  ): Promise<RawSocket> {
    const { hostname, port, pathname, search } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port) });
    t.after(() => socket.destroy());
    await once(socket, "connect");
    const raw = new RawSocket(socket);
    const all: Record<string, string> = {
      host: `${hostname}:${port}`,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      ...headers,
    };
    const lines = Object.entries(all).flatMap(([name, value]) => (value === "" ? [] : [`${name}: ${value}`]));
    const request = `GET ${pathname}${search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
    socket.write(Buffer.concat([Buffer.from(request), early]));
    await waitFor("an answer", () => raw.head !== "" || raw.ended);
    return raw;
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3})/.exec(this.head)?.[1]);
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  say(message: object): void {
    this.send(frame(TEXT, JSON.stringify(message)));
  }

  /** One byte a segment. */
  async drip(bytes: Uint8Array): Promise<void> {
    this.socket.setNoDelay();
    for (const byte of bytes) {
      await new Promise((resolve) => this.socket.write(Buffer.from([byte]), resolve));
    }
  }

  get texts(): Record<string, unknown>[] {
    return this.frames
      .filter(({ opcode }) => opcode === TEXT)
      .map(({ payload }) => JSON.parse(payload.toString()) as Record<string, unknown>);
  }

  of(type: string): Record<string, unknown>[] {
    return this.texts.filter((message) => message.type === type);
  }

  hears(type: string, count = 1): Promise<Record<string, unknown>> {
    return waitFor(type, () => this.of(type)[count - 1]);
  }

  async pong(payload: string): Promise<void> {
    await waitFor("a pong", () => {
      return this.frames.some((each) => each.opcode === PONG && each.payload.toString() === payload);
    });
  }

  /** The code of its close frame; 1005 where that has none, 1006 where the connection ended without. */
  async closeCode(): Promise<number> {
    const close = () => this.frames.find(({ opcode }) => opcode === CLOSE);
    await waitFor("its close", () => close() !== undefined || this.ended);
    const payload = close()?.payload;
    if (payload === undefined) return 1006;
    return payload.length === 0 ? 1005 : payload.readUInt16BE(0);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (this.head === "") {
      const end = this.#rest.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.head = this.#rest.toString("latin1", 0, end);
      this.#rest = this.#rest.subarray(end + 4);
      if (this.status !== 101) return;
    }
    for (;;) {
      const rest = this.#rest;
      if (rest.length < 2 || this.status !== 101) return;
      const short = (rest[1] as number) & 0x7f;
      const at = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (rest.length < at) return;
      const length =
        short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
      if (rest.length < at + length) return;
      const first = rest[0] as number;
      this.frames.push({
        opcode: first & 0x0f,
        reserved: (first >> 4) & 7,
        payload: rest.subarray(at, at + length),
      });
      this.#rest = rest.subarray(at + length);
    }
  }
}
