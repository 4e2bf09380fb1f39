/**
 * A client of a stream, as a browser is one: it keeps the last id it was given, and comes back with it. It talks to the
 * real endpoint by a real response, whose socket is simulated.
 */
import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { HttpEndpoint } from "../../src/component.ts";
import type { Seq } from "../../src/event.ts";
import { SseParser } from "../sinks/sse-parser.ts";
import type { Frame, StreamTruth } from "./stream-truth.ts";
import type { Truth } from "./truth.ts";

/** A connection whose client may stop reading. */
class Wire extends Duplex {
  stalled = false;
  readonly #received: (bytes: Buffer) => void;
  #waiting: (() => void) | null = null;

  constructor(received: (bytes: Buffer) => void) {
    super();
    this.#received = received;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#received(chunk);
    if (this.stalled) this.#waiting = done;
    else done();
  }

  goOn(): void {
    this.stalled = false;
    this.#waiting?.();
    this.#waiting = null;
  }

  setTimeout(): this {
    return this;
  }
}

export class StreamReader {
  readonly #channels: readonly string[];
  readonly #stream: StreamTruth;
  readonly #truth: Truth;
  #wire: Wire | null = null;
  #parser = new SseParser();
  /** The last id it was given; null: none yet. */
  position: Seq | null = null;
  /** Of the seqs after its position. */
  #got = new Map<Seq, Frame[]>();
  gaps = 0;
  frames = 0;

  constructor(channels: readonly string[], stream: StreamTruth, truth: Truth) {
    this.#channels = channels;
    this.#stream = stream;
    this.#truth = truth;
  }

  get connected(): boolean {
    return this.#wire !== null;
  }

  connect(endpoint: HttpEndpoint): void {
    let head = "";
    const parser = new SseParser();
    this.#parser = parser;
    this.#got = new Map();
    const wire = new Wire((bytes) => {
      if (this.#wire === wire) this.#truth.looksAt(() => received(bytes));
    });
    const received = (bytes: Buffer) => {
      if (head.endsWith("\r\n\r\n")) parser.push(bytes);
      else {
        const text = head + bytes.toString();
        const end = text.indexOf("\r\n\r\n");
        head = end === -1 ? text : text.slice(0, end + 4);
        if (end !== -1) parser.push(Buffer.from(text.slice(end + 4)));
      }
      this.#read();
    };
    this.#wire = wire;
    wire.on("close", () => {
      if (this.#wire === wire) this.#wire = null;
    });
    const request = new IncomingMessage(wire as unknown as Socket);
    request.method = "GET";
    request.httpVersionMajor = 1;
    request.httpVersionMinor = 0;
    request.url = `/events?${this.#channels.map((name) => `channel=${encodeURIComponent(name)}`).join("&")}`;
    if (this.position !== null) request.headers["last-event-id"] = String(this.position);
    const response = new ServerResponse(request);
    response.assignSocket(wire as unknown as Socket);
    response.on("finish", () => wire.destroy());
    void endpoint.handle(request, response, "");
  }

  /** The connection breaks. */
  cut(): void {
    const wire = this.#wire;
    this.#wire = null;
    wire?.destroy();
  }

  stall(): void {
    if (this.#wire !== null) this.#wire.stalled = true;
  }

  goOn(): void {
    this.#wire?.goOn();
  }

  #wants = (channel: string) => this.#channels.some((name) => name === channel || name === "**");

  #read(): void {
    for (const { type, data, lastEventId } of this.#parser.events.splice(0)) {
      if (type === "gap") {
        this.gaps++;
        this.position = Number(lastEventId);
        this.#got.clear();
      } else if (type === "message") {
        const { channel, seq } = JSON.parse(data) as { channel: string; seq: Seq };
        const body = data.slice(data.indexOf(',"data":') + 8, -1);
        assert.ok(
          this.position === null || seq > this.position,
          `J5: a reader that has seen ${this.position} gets ${seq}`,
        );
        this.frames++;
        const frames = this.#got.get(seq);
        if (frames === undefined) this.#got.set(seq, [{ channel, data: body }]);
        else frames.push({ channel, data: body });
        if (lastEventId === String(seq)) this.#advance(seq);
      } else assert.equal(type, "bye");
    }
    if (this.#parser.lastEventId !== "") this.#advance(Number(this.#parser.lastEventId));
  }

  /** It was given everything up to `id`: of what lies before, nothing is missing. */
  #advance(id: Seq): void {
    if (this.position === id) return;
    assert.ok(
      id <= this.#truth.newest,
      `J5: a reader is told of ${id}, and ${this.#truth.newest} is the last`,
    );
    if (this.position !== null) {
      assert.ok(id > this.position, `J5: a reader at ${this.position} is put back to ${id}`);
      for (let seq = this.position + 1; seq <= id; seq++) {
        const got = this.#got.get(seq) ?? [];
        this.#stream.check(seq, got, this.#wants);
      }
    }
    this.position = id;
    this.#got.clear();
  }
}
