/**
 * The baseline of the push rows: writes each posted body to all open readers, one write a message, made once for all and
 * written to the socket itself; keeps and checks nothing. SSE, and WebSocket by `ws` for the handshake.
 * `?replay=n`: a reader begins with the last n bodies, from memory.
 */
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";

const sse = new Set<Socket>();
const websockets = new Set<Socket>();
let past: Buffer[] = [];

const server = createServer((request, response) => {
  if (request.method === "GET") {
    response.setHeader("content-type", "text/event-stream");
    response.removeHeader("transfer-encoding");
    response.write(":\n\n");
    // Else whoever waits for this server to be ready would wait for ever.
    if (request.url === "/") response.end();
    const { socket } = response;
    if (socket === null || request.url === "/") return;
    const replay = Number(new URL(request.url ?? "/", "http://bare").searchParams.get("replay") ?? 0);
    if (replay > 0) socket.write(Buffer.concat(past.slice(-replay)));
    sse.add(socket);
    socket.on("close", () => sse.delete(socket));
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    if (sse.size + past.length > 0 || request.url?.includes("keep")) {
      const frame = Buffer.from(`data: ${body}\n\n`);
      if (request.url?.includes("keep")) past = [...past.slice(-4999), frame];
      for (const socket of sse) socket.write(frame);
    }
    if (websockets.size > 0) {
      const frame = unmasked(Buffer.from(`{"type":"event","channel":"all","data":${body}}`));
      for (const socket of websockets) socket.write(frame);
    }
    response.end();
  });
});

const upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on("upgrade", (request, socket, head) => {
  upgrades.handleUpgrade(request, socket, head, (websocket) => {
    websocket.send('{"type":"welcome"}');
    websocket.on("message", () => websocket.send('{"type":"subscribed"}'));
    websockets.add(socket as Socket);
    websocket.on("close", () => websockets.delete(socket as Socket));
  });
});

function unmasked(body: Buffer): Buffer {
  const head =
    body.length < 126
      ? Buffer.from([0x81, body.length])
      : Buffer.from([0x81, 126, body.length >> 8, body.length & 255]);
  return Buffer.concat([head, body]);
}

server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 1024 });
