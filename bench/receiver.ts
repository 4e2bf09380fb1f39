/**
 * `node receiver.ts PORT [MS]`: what webhooks are delivered to: counts the POSTs and answers 200 to each, after MS
 * milliseconds. GET / tells the count and when the last came (`process.hrtime`, in ns, which all processes share).
 */
import { createServer, type ServerResponse } from "node:http";

const [port, ms = 0] = process.argv.slice(2).map(Number);
let count = 0;
let last = 0n;

const answer = (response: ServerResponse) => response.writeHead(200, { "content-length": 0 }).end();

createServer((request, response) => {
  if (request.method !== "POST") {
    response.end(JSON.stringify({ count, last: String(last) }));
    return;
  }
  request.resume();
  request.on("end", () => {
    count++;
    last = process.hrtime.bigint();
    if (ms === 0) answer(response);
    else setTimeout(answer, ms, response);
  });
}).listen(port, "127.0.0.1");
