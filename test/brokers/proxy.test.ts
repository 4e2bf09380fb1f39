import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { waitFor } from "../wait-for.ts";
import { startProxy } from "./proxy.ts";

/** A server that gives back what it gets, a proxy before it, and clients of that. */
async function throughProxy(t: TestContext) {
  const ends = new Set<Socket>();
  const server = createServer((socket) => {
    ends.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => ends.delete(socket));
    socket.pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = await startProxy((server.address() as AddressInfo).port);
  t.after(async () => {
    await proxy.close();
    server.close();
    await once(server, "close");
  });
  const client = async () => {
    const socket = connect(proxy.port, "127.0.0.1");
    let got = "";
    let error: string | undefined;
    socket.on("data", (chunk) => (got += chunk));
    socket.on("error", (cause: NodeJS.ErrnoException) => (error = cause.code));
    await once(socket, "connect");
    return { socket, got: () => got, error: () => error };
  };
  return { proxy, client, upstream: () => ends.size };
}

test("passes both ways what comes, until it cuts with a reset at both ends", async (t) => {
  const { proxy, client, upstream } = await throughProxy(t);
  const one = await client();
  one.socket.write("hello");
  await waitFor("the echo", () => one.got() === "hello");
  assert.equal(proxy.open(), 1);
  assert.equal(proxy.cut(), 1);
  await waitFor("the reset", () => one.error() === "ECONNRESET");
  await waitFor("the other end's", () => upstream() === 0);
  const two = await client();
  two.socket.write("again");
  await waitFor("the echo of a new connection", () => two.got() === "again");
  assert.equal(proxy.connections(), 2);
});

test("cuts after so many bytes, which arrive", async (t) => {
  const { proxy, client } = await throughProxy(t);
  const one = await client();
  const cut = proxy.cutAfter(25);
  one.socket.write("x".repeat(20));
  await cut;
  await waitFor("the reset", () => one.error() === "ECONNRESET");
  assert.ok(one.got().length <= 5, `${one.got().length} bytes came back of the 5 that were left`);
});

test("holds everything back and tells nobody, until it is released", async (t) => {
  const { proxy, client } = await throughProxy(t);
  const one = await client();
  proxy.hold();
  one.socket.write("held");
  const other = await client();
  other.socket.write("too");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(one.got() + other.got(), "");
  proxy.release();
  await waitFor("both echoes", () => one.got() === "held" && other.got() === "too");
  assert.equal(one.error(), undefined);
});
