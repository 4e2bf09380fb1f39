/** A source of lines over a real listener, with a host under test; and producers that send as they like. */
import assert from "node:assert/strict";
import { type ClientRequest, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { TestContext } from "node:test";
import { type Appended, type Arrival, hasEndpoint } from "../../../../src/component.ts";
import { unpackHeaders } from "../../../../src/event.ts";
import { createListener } from "../../../../src/http/listener.ts";
import { type Clock, systemClock } from "../../../../src/ports.ts";
import { webhookSource } from "../../../../src/sources/webhook/source.ts";
import { LIMITS } from "../../../http/limits.ts";
import { keptLog, type LogLine } from "../../../http/log.ts";
import { TestHost } from "../../host.ts";

export const BEARER = { verify: { type: "bearer", token: "tok" } };
export const AUTHORIZED = { authorization: "Bearer tok" };

/** Its clock is the machine's: a stream's waits are real. */
export class LineHost extends TestHost {
  override readonly clock: Clock = systemClock;
  readonly kept = keptLog();
  override readonly log = this.kept.log;

  /** How often it said no. */
  failed = 0;

  override async append(arrival: Arrival): Promise<Appended> {
    try {
      return await super.append(arrival);
    } catch (error) {
      this.failed++;
      throw error;
    }
  }

  /** The lines' bodies, in order, as text. */
  get lines(): string[] {
    return this.appended.filter(({ type }) => type === null).map(({ body }) => Buffer.from(body).toString());
  }

  get ids(): (string | null)[] {
    return this.appended.filter(({ type }) => type === null).map(({ id }) => id);
  }

  /** What the streams' ends say, in order. */
  get ends(): { type: string | null; id: string | null; said: Record<string, unknown> }[] {
    return this.appended
      .filter(({ type }) => type !== null)
      .map(({ type, id, body }) => ({
        type,
        id,
        said: JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>,
      }));
  }
}

export interface Running {
  readonly url: string;
  readonly host: LineHost;
  /** What the listener logged: nothing that a client does is an error of ours. */
  readonly logged: LogLine[];
  stop(): Promise<void>;
  begin(headers?: Record<string, string>, path?: string): Producer;
}

export async function runLines(
  t: TestContext,
  fields: object = {},
  { host = new LineHost(), limits = LIMITS } = {},
): Promise<Running> {
  const config = { path: "/lines", ...BEARER, stream: "lines", ...fields };
  const source = webhookSource.create(webhookSource.schema.parse(config), host);
  assert.ok(hasEndpoint(source));
  const { log, lines } = keptLog();
  const listener = createListener({ address: "127.0.0.1:0", log, limits });
  listener.setEndpoints([source.endpoint()]);
  await source.start();
  await listener.start();
  t.after(async () => {
    host.holding = false;
    host.commit();
    await listener.stop(0);
    await source.stop();
    assert.deepEqual(lines, [], "nothing that a client does is an error of ours");
  });
  const url = `${listener.url}/lines`;
  return {
    url,
    host,
    logged: lines,
    stop: () => source.stop(),
    begin: (headers = {}, path = "") => new Producer(t, url + path, { ...AUTHORIZED, ...headers }),
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly json: Record<string, unknown>;
}

/** One chunked POST, written piece by piece. */
export class Producer {
  readonly request: ClientRequest;
  readonly answer: Promise<Answer>;

  constructor(t: TestContext, url: string, headers: Record<string, string>) {
    this.request = httpRequest(url, { method: "POST", headers, agent: false });
    this.answer = new Promise((resolve, reject) => {
      this.request.on("error", reject).on("response", (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        response.on("error", reject).on("end", () => {
          const json = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, json });
        });
      });
    });
    this.answer.catch(() => {});
    this.request.flushHeaders();
    t.after(() => this.request.destroy());
  }

  write(piece: string | Uint8Array): void {
    this.request.write(piece);
  }

  end(piece: string | Uint8Array = ""): Promise<Answer> {
    this.request.end(piece);
    return this.answer;
  }
}

export function headersOf({ headers }: { readonly headers: Uint8Array }): Record<string, string> {
  return Object.fromEntries(
    unpackHeaders(headers).map(([name, value]) => [name.toLowerCase(), Buffer.from(value).toString()]),
  );
}
