/** What a reader is sent goes to the kernel past the socket's stream where it may: what arrives is what the stream would have sent. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer, connect as tlsConnect } from "node:tls";
import { SocketOutlet } from "../../src/sinks/stream/outlet.ts";
import { certificate } from "./webhook/certificate.ts";

/** The served end of a connection, and the other. */
async function connection(t: TestContext): Promise<{ served: Socket; client: Socket }> {
  const server = createServer({ noDelay: true });
  const client = connect(await listening(server), "127.0.0.1");
  const [served] = (await once(server, "connection")) as [Socket];
  return ending(t, server, served, client);
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

function ending(t: TestContext, server: Server, served: Socket, client: Socket) {
  for (const socket of [served, client]) socket.on("error", () => {});
  t.after(() => {
    served.destroy();
    client.destroy();
    server.close();
  });
  return { served, client };
}

async function received(client: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(client, "end");
  return Buffer.concat(chunks);
}

test("bytes arrive in order whether the kernel took them, a part of them, or the stream keeps them", async (t) => {
  const { served, client } = await connection(t);
  const outlet = new SocketOutlet(served);
  const got = received(client);
  const sent: Buffer[] = [];
  let full = 0;
  // Each round is several times as much as the buffers of both ends hold; others write to the stream meanwhile.
  for (let round = 0; round < 3; round++) {
    client.pause();
    for (let n = 0; n < 400; n++) {
      const chunk = Buffer.alloc(1 + ((n * 7919) % 60_000), `${round}:${n};`);
      sent.push(chunk);
      if (n % 3 === 2) served.write(chunk);
      else if (!outlet.send(chunk)) full++;
      if (n % 100 === 0) await new Promise(setImmediate);
    }
    assert.ok(outlet.buffered() > 0);
    client.resume();
    await outlet.drained();
  }
  assert.ok(full > 0);
  served.end();
  assert.equal(outlet.send(Buffer.from("too late")), false);
  assert.ok(Buffer.concat(sent).equals(await got));
});

test("what TLS carries is encrypted", async (t) => {
  const { key, cert } = certificate(t);
  const server = createTlsServer({ key, cert });
  const client = tlsConnect(await listening(server), "127.0.0.1", { ca: cert, servername: "localhost" });
  const [served] = (await once(server, "secureConnection")) as [Socket];
  ending(t, server, served, client);
  const outlet = new SocketOutlet(served);
  assert.equal(outlet.send(Buffer.from("hello")), true);
  served.end();
  assert.equal(String(await received(client)), "hello");
});

test("a closed one writes nothing, though a file has its descriptor now", async (t) => {
  const { served } = await connection(t);
  const outlet = new SocketOutlet(served);
  assert.equal(outlet.send(Buffer.from("hello")), true);
  const { fd } = (served as unknown as { _handle: { fd: number } })._handle;
  served.destroy();
  const folder = mkdtempSync(join(tmpdir(), "leat-outlet-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const files: number[] = [];
  t.after(() => files.forEach(closeSync));
  while (!files.includes(fd) && files.length < 100) {
    files.push(openSync(join(folder, String(files.length)), "w"));
    await new Promise(setImmediate);
  }
  assert.ok(files.includes(fd), "a file has it");
  assert.equal(outlet.send(Buffer.from("into the file")), false);
  outlet.prefetch();
  for (const file of files) assert.equal(fstatSync(file).size, 0);
});

test("a connection that was reset closes, and sending to it throws nothing", async (t) => {
  const { served, client } = await connection(t);
  const outlet = new SocketOutlet(served);
  const closed = new Promise((resolve) => served.on("close", resolve));
  client.resetAndDestroy();
  const busy = setInterval(() => outlet.send(Buffer.alloc(1000)), 1);
  t.after(() => clearInterval(busy));
  await closed;
  assert.equal(outlet.send(Buffer.from("x")), false);
});
