/** What the tests of streams share: a stream as the daemon has it, over a real index and HTTP server, and its readers. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type ClientRequest, createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type StreamFrame, type StreamSink, takesOver } from "../../src/component.ts";
import { pathOf } from "../../src/http/target.ts";
import { openStreamIndex, type SqliteStreamIndex } from "../../src/journal/sqlite/stream-index.ts";
import { type Logger, systemClock } from "../../src/ports.ts";
import { sseSink } from "../../src/sinks/sse/sink.ts";
import type { Grants } from "../../src/sinks/stream/access/admission.ts";
import { hasStreamMetrics, type StreamMetrics } from "../../src/sinks/stream/metrics.ts";
import { type ParsedEvent, SseParser } from "./sse-parser.ts";

/** What a reader is granted by these entries alone. */
export function openTo(names: readonly string[]): Grants {
  return {
    channels: names.map((name) => ({ name, ephemeral: false, presence: false, slow: null })),
    denied: [],
  };
}

/** A logger that keeps its lines for assertions. */
export function quietLog(): Logger & { readonly lines: string[] } {
  const lines: string[] = [];
  const line = (fields: object, message: string) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { lines, trace: line, debug: line, info: line, warn: line, error: line, child: () => log };
  return log;
}

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "leat-sse-"));
}

export function frame(channel: string, body: string | Uint8Array, time = Date.now()): StreamFrame {
  return { channel, type: "t", id: `id-${body.length}`, time, body: Buffer.from(body) };
}

/** A stream with what stands around it in the daemon: its index, the journal's last seq, a listener. */
export class StreamUnderTest {
  sink: StreamSink;
  readonly index: SqliteStreamIndex;
  readonly log = quietLog();
  readonly folder: string;
  /** How far the wall clock is off, in ms. */
  skewMs = 0;
  /** Of each request, in order. */
  readonly methods: string[] = [];
  /** The journal's last seq; follows what is published. */
  committed = 0;
  port = 0;
  /** Of the sinks made from now on (`replaceSink`). */
  hosts: readonly string[] | null = null;
  readonly #server;
  readonly #fields: object;
  static readonly #open = new Set<StreamUnderTest>();

  private constructor(folder: string, index: SqliteStreamIndex, fields: object) {
    this.folder = folder;
    this.index = index;
    this.#fields = fields;
    this.sink = this.#create();
    this.#server = createServer((request, response) => {
      this.methods.push(request.method ?? "");
      const rest = (pathOf(request.url ?? "") ?? "").slice("/events".length);
      Promise.resolve(this.sink.endpoint().handle(request, response, rest)).catch((error: unknown) => {
        this.log.error({ error: String(error) }, "handle failed");
        response.destroy();
      });
    });
  }

  #create(): StreamSink {
    const { index } = this;
    const config = sseSink.schema.parse({
      path: "/events",
      auth: { type: "none" },
      channels: ["a", "b", "**"],
      ...this.#fields,
    });
    return sseSink.create(config, {
      name: "browser",
      clock: { ...systemClock, wall: () => Date.now() + this.skewMs },
      log: this.log,
      committed: () => this.committed,
      hosts: this.hosts,
      index: {
        read: (after, wants, limit) => index.read("browser", after, wants, limit),
        bounds: () => index.bounds("browser"),
        seqAt: (time) => index.seqAt("browser", time),
      },
    });
  }

  /** As a reload does: `underWay` is published while the new sink is there, and delivery doesn't hand it anything yet. */
  async replaceSink(underWay: () => void = () => {}): Promise<void> {
    const old = this.sink;
    const heir = this.#create();
    await heir.start();
    underWay();
    assert.ok(takesOver(heir));
    heir.takeOver(this.committed);
    this.sink = heir;
    await old.stop();
  }

  /** After a failed test: so that the process can end. */
  static async closeAll(): Promise<void> {
    for (const stream of StreamUnderTest.#open) await stream.kill();
  }

  static async start(fields: object = {}, folder = temporaryFolder(), port = 0): Promise<StreamUnderTest> {
    const index = await openStreamIndex({ file: join(folder, "streams.db"), log: quietLog() });
    const stream = new StreamUnderTest(folder, index, fields);
    StreamUnderTest.#open.add(stream);
    await stream.sink.start();
    await new Promise<void>((resolve) => stream.#server.listen(port, "127.0.0.1", resolve));
    stream.port = (stream.#server.address() as AddressInfo).port;
    return stream;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  /** As delivery does: to the readers at once, then into the index. */
  publish(seq: number, frames: readonly StreamFrame[]): Promise<void> {
    this.committed = Math.max(this.committed, seq);
    this.sink.publish(seq, frames);
    return this.index.write([{ stream: "browser", seq, frames }]);
  }

  metrics(): StreamMetrics {
    assert.ok(hasStreamMetrics(this.sink));
    return this.sink.metrics();
  }

  /** As kill -9 would: sockets are cut, nothing is said. The index keeps what it had. */
  async kill(): Promise<void> {
    StreamUnderTest.#open.delete(this);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.sink.stop();
    await this.index.close();
  }

  /** The end of a test. */
  async close(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
    assert.deepEqual(
      this.log.lines.filter((line) => line.includes("failed")),
      [],
    );
  }
}

/** One connection to a stream. */
export class TestReader {
  readonly parser = new SseParser();
  status = 0;
  headers: IncomingMessage["headers"] = {};
  ended = false;
  text = "";
  #request: ClientRequest;
  #response: IncomingMessage | null = null;
  readonly opened: Promise<void>;

  constructor(url: string, headers: Record<string, string> = {}, onEvents?: (events: ParsedEvent[]) => void) {
    this.#request = request(url, { headers, agent: false });
    this.opened = new Promise((resolve) => {
      this.#request.on("response", (response) => {
        this.#response = response;
        this.status = response.statusCode ?? 0;
        this.headers = response.headers;
        response.on("data", (chunk: Buffer) => {
          if (!onEvents) this.text += chunk;
          this.parser.push(chunk);
          onEvents?.(this.parser.events.splice(0));
        });
        response.on("close", () => {
          this.ended = true;
        });
        response.on("error", () => {});
        resolve();
      });
      this.#request.on("error", () => {
        this.ended = true;
        resolve();
      });
    });
    this.#request.end();
  }

  get events(): readonly ParsedEvent[] {
    return this.parser.events;
  }

  get data(): string[] {
    return this.parser.events.map(({ data }) => data);
  }

  /** The client stops reading; the kernel's buffers fill up. */
  stall(): void {
    this.#response?.pause();
  }

  unstall(): void {
    this.#response?.resume();
  }

  get socket(): Socket | null {
    return this.#request.socket;
  }

  close(): void {
    this.#request.destroy();
    this.#response?.destroy();
  }
}
