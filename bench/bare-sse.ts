/** The baseline of the latency rows: writes each posted body to all open SSE responses; keeps and checks nothing. */
import { createServer, type ServerResponse } from "node:http";

const readers = new Set<ServerResponse>();

createServer((request, response) => {
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    readers.add(response);
    response.on("close", () => readers.delete(response));
    // Else whoever waits for this server to be ready would wait for ever.
    if (request.url === "/") response.end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    for (const reader of readers) reader.write(`data: ${body}\n\n`);
    response.end();
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
