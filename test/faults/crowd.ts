/**
 * Thousands of readers of one stream, in one process: raw sockets that do what a browser does. Each keeps the last place
 * it was told, and comes back with it when its connection ends, after what it was told (shortened by `hurry`).
 */
import { connect, type Socket } from "node:net";
import { quantile } from "../../bench/row.ts";
import { WIRES, type WireOwner } from "./crowd-wires.ts";

export interface CrowdOptions {
  readonly wire: keyof typeof WIRES;
  readonly url: () => string;
  readonly count: number;
  /** Of what it is told to wait, the share that is waited. */
  readonly hurry?: number;
}

export class Member implements WireOwner {
  /** Seqs that it was given, in order. */
  readonly got: number[] = [];
  lastId = "";
  gaps = 0;
  repeated = 0;
  connections = 0;
  connected = false;
  stalled = false;
  #retryMs = 1000;
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

  up(): void {
    if (!this.connected) this.connections++;
    this.connected = true;
  }

  retry(ms: number): void {
    this.#retryMs = ms;
  }

  gap(): void {
    this.gaps++;
  }

  event(seq: number, data: string): void {
    if (seq <= (this.got.at(-1) ?? 0)) this.repeated++;
    this.got.push(seq);
    const sent = /"t":([\d.]+)/.exec(data)?.[1];
    if (sent !== undefined) this.#took(performance.now() - Number(sent));
  }

  place(id: string): void {
    this.lastId = id;
  }

  answer(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  #connect(): void {
    const url = new URL(this.#options.url());
    const socket = connect(Number(url.port), url.hostname);
    this.#socket = socket;
    const wire = WIRES[this.#options.wire](this);
    socket.write(wire.hello(url, this.lastId));
    socket.on("data", (chunk) => wire.take(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.connected = false;
      if (this.#closed) return;
      const wait = this.#retryMs * (this.#options.hurry ?? 1);
      this.#timer = setTimeout(() => this.#connect(), wait);
    });
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
