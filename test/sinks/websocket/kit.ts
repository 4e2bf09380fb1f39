/** What the tests of the WebSocket sink share: a daemon in the test's process, and clients that know the protocol a little. */
import { once } from "node:events";
import type { TestContext } from "node:test";
import { type ClientOptions, WebSocket } from "ws";
import { postJson, type Running, startForTest } from "../../daemon/running.ts";
import { waitFor } from "../../wait-for.ts";

export interface Said extends Record<string, unknown> {
  readonly type: string;
}

export interface LiveOptions {
  /** More fields of the sink. */
  readonly fields?: string;
  readonly auth?: string;
  readonly channels?: string;
  /** More sections of the file. */
  readonly more?: string;
}

/** A daemon whose stream `live` gets what is POSTed to `/in` (its body's `channel`), and what its clients publish. */
export async function startLive(
  t: TestContext,
  { fields = "", auth = "{ type: none }", channels = '["a", "b", "room.*"]', more = "" }: LiveOptions = {},
): Promise<Live> {
  const publishes = fields.includes("publish: [");
  const running = await startForTest(
    t,
    `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  live: { type: websocket, path: /ws, auth: ${auth}, channels: ${channels}${fields && `, ${fields}`} }
routes:
  in: { from: in, to: { sink: live, channel: "{{ body.channel }}" } }
${publishes ? `  chat: { from: live, to: { sink: live, channel: "{{ subject }}" } }` : ""}
${more}
`,
  );
  return new Live(t, running);
}

export class Live {
  readonly running: Running;
  readonly #t: TestContext;

  constructor(t: TestContext, running: Running) {
    this.#t = t;
    this.running = running;
  }

  get wsUrl(): string {
    return `${this.running.url.replace("http", "ws")}/ws`;
  }

  /** Publishes by the webhook; resolves with its seq. */
  async post(channel: string, n: unknown): Promise<number> {
    const { status, json } = await postJson(`${this.running.url}/in`, { channel, n });
    if (status !== 200) throw new Error(`answered ${status}`);
    return Number(json.seq);
  }

  async client(options: ClientOptions = {}, query = "", protocols: string[] = ["leat.v1"]): Promise<Client> {
    const client = new Client(`${this.wsUrl}${query}`, protocols, options);
    this.#t.after(() => client.close());
    await client.opened;
    return client;
  }

  /** One who has subscribed to these. */
  async reader(...channels: string[]): Promise<Client> {
    const client = await this.client();
    for (const channel of channels) client.say({ type: "subscribe", channel, ref: channel });
    await waitFor("the channels", () => client.of("subscribed").length === channels.length);
    return client;
  }
}

export class Client {
  readonly socket: WebSocket;
  readonly said: Said[] = [];
  /** Of the close frame; 0 while it is open. */
  code = 0;
  reason = "";
  readonly opened: Promise<unknown>;

  constructor(url: string, protocols: string[], options: ClientOptions) {
    this.socket = new WebSocket(url, protocols, options);
    this.socket.on("message", (data: Buffer) => this.said.push(JSON.parse(data.toString()) as Said));
    this.socket.on("close", (code, reason) => {
      this.code = code;
      this.reason = reason.toString();
    });
    this.socket.on("error", () => {});
    this.opened = once(this.socket, "open");
  }

  say(message: object | string): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  of(type: string): Said[] {
    return this.said.filter((message) => message.type === type);
  }

  /** The data of its events. */
  get data(): unknown[] {
    return this.of("event").map(({ data }) => data);
  }

  /** What each event has in `data.n`. */
  get numbers(): unknown[] {
    return this.data.map((data) => (data as { n: unknown }).n);
  }

  hears(type: string, count = 1): Promise<Said> {
    return waitFor(`${type} in ${JSON.stringify(this.said).slice(-500)}`, () => this.of(type)[count - 1]);
  }

  /** Resolves with the close frame's code. */
  closed(): Promise<number> {
    return waitFor("its close", () => this.code);
  }

  close(): void {
    this.socket.terminate();
  }
}
