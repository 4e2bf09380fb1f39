/** A connection that goes over to another protocol. */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { UpgradableEndpoint } from "../../src/component.ts";
import { answerJson } from "../../src/http/answer.ts";
import { createListener, type Listener } from "../../src/http/listener.ts";
import { waitFor } from "../wait-for.ts";
import { LIMITS } from "./limits.ts";
import { keptLog } from "./log.ts";
import { RawClient } from "./raw-client.ts";

/** Says `hello`, then sends back what it gets. */
class Echo implements UpgradableEndpoint {
  readonly path = "/echo";
  readonly subtree = false;
  readonly upgradesTo = "echo";
  readonly sockets: Socket[] = [];

  handle: UpgradableEndpoint["handle"] = (_request, response) => answerJson(response, 200, '"http"');

  upgrade: UpgradableEndpoint["upgrade"] = (_request, socket, head) => {
    this.sockets.push(socket);
    socket.on("error", () => {});
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\nhello ${head}`,
    );
    socket.on("data", (chunk) => socket.write(chunk));
  };
}

async function listen(t: TestContext): Promise<{ listener: Listener; echo: Echo; url: string }> {
  const listener = createListener({ address: "127.0.0.1:0", log: keptLog().log, limits: LIMITS });
  const echo = new Echo();
  const slow = {
    path: "/slow",
    subtree: false,
    handle: async (_request: unknown, response: Parameters<typeof answerJson>[0]) => {
      await waitFor("the test's end", () => response.destroyed);
      answerJson(response, 200, '"slow"');
    },
  };
  listener.setEndpoints([echo, slow]);
  await listener.start();
  t.after(() => listener.stop(0));
  return { listener, echo, url: listener.url };
}

async function open(t: TestContext, url: string): Promise<RawClient> {
  const client = await RawClient.open(url);
  t.after(() => client.close());
  return client;
}

const ASK = "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: Echo\r\n\r\n";

test("an endpoint takes over the connection of who asks for its protocol, with what came behind", async (t) => {
  const { echo, url } = await listen(t);
  const client = await open(t, url);
  client.send(`${ASK}early`);
  await waitFor("the answer", () => client.received.includes("hello early"));
  client.send("later");
  await waitFor("the echo", () => client.received.endsWith("later"));
  assert.equal(echo.sockets.length, 1);
});

test("what asks for another protocol, by another method, with a body or elsewhere is answered as if it hadn't", async (t) => {
  const { echo, url } = await listen(t);
  const others = [
    ASK.replace("Echo", "h2c"),
    ASK.replace("GET", "HEAD"),
    ASK.replace("\r\n\r\n", "\r\ncontent-length: 0\r\n\r\n"),
  ];
  for (const request of others) {
    const client = await open(t, url);
    client.send(request);
    await waitFor("an answer", () => client.received.includes("HTTP/1.1 200"));
  }
  const lost = await open(t, url);
  lost.send(ASK.replace("/echo", "/nowhere"));
  await waitFor("an answer", () => lost.received.includes("HTTP/1.1 404"));
  const twice = await open(t, url);
  twice.send(ASK.replace("host: a", "host: a\r\nhost: b"));
  await waitFor("an answer", () => twice.received.includes("HTTP/1.1 400"));
  assert.deepEqual(echo.sockets, []);
});

test("asked for behind a request that is still being answered, the connection is cut", async (t) => {
  const { echo, url } = await listen(t);
  const client = await open(t, url);
  client.send(`GET /slow HTTP/1.1\r\nhost: a\r\n\r\n${ASK}`);
  await client.untilEnd();
  assert.deepEqual(echo.sockets, []);
  assert.doesNotMatch(client.received, /101/);
});

test("a listener that stops cuts what is still open after its grace, whatever it speaks", async (t) => {
  const { listener, url } = await listen(t);
  const client = await open(t, url);
  client.send(ASK);
  await waitFor("the answer", () => client.received.includes("hello"));
  await listener.stop(50);
  await client.untilEnd();
});
