/** The quickstart's receiver: somebody's endpoint that has its bad moments, so that a retry is seen. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const PORT = 8082;
/** A first attempt is refused at most so often: a burst of events isn't meant to open the breaker. */
const EVERY_MS = 1_000;

/** Listens on loopback, on its usual port or where that is taken on any; resolves with its address. */
export async function startExampleReceiver(): Promise<string> {
  let lastRefusal = Number.NEGATIVE_INFINITY;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const attempt = String(request.headers["leat-attempt"] ?? "1");
    const id = String(request.headers["webhook-id"] ?? "an event");
    const now = performance.now();
    const refused = attempt === "1" && now - lastRefusal > EVERY_MS;
    if (refused) lastRefusal = now;
    request.resume().once("end", () => {
      response.writeHead(refused ? 503 : 200).end();
      const outcome = refused ? "503, try again" : "200";
      process.stdout.write(`receiver: ${printable(id)}, attempt ${printable(attempt)}: ${outcome}\n`);
    });
  };
  const server = createServer(answer);
  const port = await new Promise<number>((resolve, reject) => {
    const listening = () => resolve((server.address() as AddressInfo).port);
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      server.once("error", reject);
      server.listen(0, "127.0.0.1", listening);
    });
    server.listen(PORT, "127.0.0.1", listening);
  });
  return `http://127.0.0.1:${port}/hook`;
}

/** Ids come from outside: on a terminal, control characters would be obeyed. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 100);
}
