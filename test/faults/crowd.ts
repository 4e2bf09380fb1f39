/**
 * Thousands of readers of one SSE stream, in one process: raw sockets that do what a browser does. Each keeps the last id
 * it was given, and comes back with it when its connection ends, after what `retry` said (shortened by `hurry`).
 */
import { connect, type Socket } from "node:net";
import { quantile } from "../../bench/row.ts";

export interface CrowdOptions {
  readonly url: () => string;
  readonly count: number;
  /** Of what `retry` says, the share that is waited. */
  readonly hurry?: number;
}

export class Member {
  /** Seqs that it was given, in order. */
  readonly got: number[] = [];
  lastId = "";
  gaps = 0;
  repeated = 0;
  connections = 0;
  connected = false;
  stalled = false;
  #retryMs = 1000;
  #rest = "";
  #socket: Socket | null = null;
  #closed = false;
  #timer: NodeJS.Timeout | null = null;
  readonly #options: CrowdOptions;
  readonly #took: (ms: number) => void;

  constructor(options: CrowdOptions, took: (ms: number) => void) {
    this.#options = options;
    this.#took = took;
    this.#connect();
  }

  stall(): void {
    this.stalled = true;
    this.#socket?.pause();
  }

  goOn(): void {
    this.stalled = false;
    this.#socket?.resume();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    const { hostname, port, pathname, search, host } = new URL(this.#options.url());
    const socket = connect(Number(port), hostname);
    this.#socket = socket;
    this.#rest = "";
    const last = this.lastId === "" ? "" : `last-event-id: ${this.lastId}\r\n`;
    socket.write(
      `GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\naccept: text/event-stream\r\n${last}\r\n`,
    );
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.connected = false;
      if (this.#closed) return;
      const wait = this.#retryMs * (this.#options.hurry ?? 1);
      this.#timer = setTimeout(() => this.#connect(), wait);
    });
  }

  #take(text: string): void {
    const blocks = (this.#rest + text).split("\n\n");
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
        this.#retryMs = Number(line.slice(7));
        if (!this.connected) this.connections++;
        this.connected = true;
      }
    }
    if (type === "gap") this.gaps++;
    if (type === "message" && data !== "" && id !== null) {
      const seq = Number(id);
      if (seq <= (this.got.at(-1) ?? 0)) this.repeated++;
      this.got.push(seq);
      const sent = /"t":([\d.]+)/.exec(data)?.[1];
      if (sent !== undefined) this.#took(performance.now() - Number(sent));
    }
    if (id !== null) this.lastId = id;
  }
}

export class Crowd {
  readonly members: readonly Member[];
  /** How long each message took, in ms, by what it says of when it was sent (`"t":<performance.now()>`). */
  took: number[] = [];

  constructor(options: CrowdOptions) {
    this.members = Array.from(
      { length: options.count },
      () => new Member(options, (ms) => this.took.push(ms)),
    );
  }

  get connected(): number {
    return this.members.reduce((sum, { connected }) => sum + Number(connected), 0);
  }

  /** Of the members that aren't stalled; forgets what it was. */
  p99(): number {
    const { took } = this;
    this.took = [];
    return quantile(took, 0.99);
  }

  close(): void {
    for (const member of this.members) member.close();
  }
}
