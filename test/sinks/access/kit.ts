/** What the tests of access share: an issuer of tokens, servers of keys and of verdicts, and streams that ask them. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, type JWTPayload, SignJWT } from "jose";
import type { StreamUnderTest } from "../stream-kit.ts";

export const SECRET = "a shared secret of more than thirty-two bytes";

export const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const otherRsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
export const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });

export const pem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

export const now = () => Math.floor(Date.now() / 1000);

/** `auth` of tokens by the shared secret. */
export const byHmac = { type: "jwt", secret: SECRET, algorithms: ["HS256"], audience: "app" };

export interface Minting {
  readonly alg?: string;
  readonly key?: KeyObject | Uint8Array;
  readonly header?: Record<string, unknown>;
}

/** A good token of the user 42, unless `claims` (undefined takes one away) or `how` make it another. */
export function mint(claims: Record<string, unknown> = {}, how: Minting = {}): Promise<string> {
  const { alg = "HS256", key = Buffer.from(SECRET), header = {} } = how;
  const all = { iss: "https://id.example", sub: "42", aud: "app", iat: now(), exp: now() + 600, ...claims };
  const present = Object.entries(all).filter(([, value]) => value !== undefined);
  return new SignJWT(Object.fromEntries(present) as JWTPayload)
    .setProtectedHeader({ alg, ...header })
    .sign(key);
}

/** A token put together by hand, as nobody honest would. */
export function forge(header: object, claims: object, signature = "AAAA"): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

export async function jwk(key: KeyObject, kid?: string): Promise<Record<string, unknown>> {
  return { ...(await exportJWK(key)), ...(kid !== undefined && { kid }), use: "sig" };
}

/** A poll's status: what a reader who shows this is told. */
export async function statusOf(
  stream: StreamUnderTest,
  headers: Record<string, string> = {},
  query = "channel=a",
): Promise<number> {
  const response = await fetch(`${stream.url}?${query}`, {
    headers: { accept: "application/json", ...headers },
  });
  await response.arrayBuffer();
  return response.status;
}

export const bearing = (token: string) => ({ authorization: `Bearer ${token}` });

export interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Of a judge: the question. */
  readonly question: Record<string, unknown>;
}

export interface Said {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

/** An endpoint of the user's: keys, a judge. `answer` may be changed at any time; one that never resolves is one that hangs. */
export class Endpoint {
  answer: (asked: Asked) => Said | Promise<Said>;
  readonly asked: Asked[] = [];
  readonly #server: Server;

  private constructor(answer: Endpoint["answer"]) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      void this.#hear(request).then(({ status = 200, headers = {}, body = "" }) => {
        const text = typeof body === "string" ? body : JSON.stringify(body);
        response.writeHead(status, { "content-type": "application/json", ...headers }).end(text);
      });
    });
  }

  async #hear(request: IncomingMessage): Promise<Said> {
    let body = "";
    for await (const piece of request) body += piece;
    const asked = { headers: request.headers, body, question: body === "" ? {} : JSON.parse(body) };
    this.asked.push(asked);
    return this.answer(asked);
  }

  static async start(answer: Endpoint["answer"]): Promise<Endpoint> {
    const endpoint = new Endpoint(answer);
    await new Promise<void>((resolve) => endpoint.#server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/ask`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
