/** A producer of a stream of lines: one chunked POST, written as its test likes, whose answer may never come. */
import { type ClientRequest, request as httpRequest } from "node:http";
import type { StreamReader } from "./stream-reader.ts";

export const PRODUCER_TOKEN = "a-producers-token";

export interface Told {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

export interface Production {
  readonly request: ClientRequest;
  /** Null where the connection broke before an answer came. */
  readonly answer: Promise<Told | null>;
  /** Whether anybody was there. */
  connected(): boolean;
}

export function produce(url: string, id: string, more: Record<string, string> = {}): Production {
  const headers = { authorization: `Bearer ${PRODUCER_TOKEN}`, "leat-request-id": id, ...more };
  const request = httpRequest(url, { method: "POST", headers, agent: false });
  let connected = false;
  request.on("socket", (socket) => socket.once("connect", () => (connected = true)));
  const answer = new Promise<Told | null>((resolve) => {
    request.on("error", () => resolve(null)).on("close", () => resolve(null));
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("error", () => resolve(null));
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) as Record<string, unknown> });
      });
    });
  });
  return { request, answer, connected: () => connected };
}

const isEnd = (data: string) => data.startsWith('{"stream":');

/** The lines that a reader has, without what says how their streams ended. */
export function linesOf({ events }: StreamReader): string[] {
  return events.map(({ data }) => data).filter((data) => !isEnd(data));
}

export function endsOf({ events }: StreamReader): { stream: string; last: number; reason?: string }[] {
  return events
    .filter(({ data }) => isEnd(data))
    .map(({ data }) => JSON.parse(data) as { stream: string; last: number; reason?: string });
}
