/** `server.http`: what clients may take of a listener. */
import type { z } from "zod";
import type { HttpLimits } from "../plan.ts";
import { duration, integer, object, size } from "./fields.ts";

/** Below it nobody far away could send anything. */
const LEAST_MS = 100;
const LEAST_HEADER_BYTES = 1024;

const wait = () =>
  duration().refine((ms) => ms >= LEAST_MS, {
    message: "is too short",
    params: { remedy: `take ${LEAST_MS}ms or more` },
  });

export const httpSchema = object({
  headers_timeout: wait().prefault("10s").describe("For the headers of a request to arrive"),
  request_timeout: wait()
    .prefault("15s")
    .describe("For a whole request to arrive. An answer may take as long as it likes"),
  // The usual load balancers have 60 s.
  keep_alive: wait()
    .prefault("72s")
    .describe("For the next request on a connection. Above a load balancer's own, so that it closes first"),
  header_bytes: size()
    .refine((bytes) => bytes >= LEAST_HEADER_BYTES, {
      message: "is too small",
      params: { remedy: "take 1KiB or more" },
    })
    .prefault("80KiB")
    .describe("The request line and all headers together"),
  requests: integer(0, 1_000_000_000)
    .default(1000)
    .describe("Requests on one connection, which is then closed. 0: no bound"),
  connections: integer(1, 10_000_000)
    .optional()
    .describe("Connections of server.listen at a time. Default: what the system allows"),
});

export function toHttpLimits(http: z.output<typeof httpSchema>): HttpLimits {
  return {
    requestTimeoutMs: http.request_timeout,
    headersTimeoutMs: http.headers_timeout,
    keepAliveMs: http.keep_alive,
    maxHeaderBytes: http.header_bytes,
    maxRequestsPerConnection: http.requests,
    maxConnections: http.connections ?? null,
  };
}
