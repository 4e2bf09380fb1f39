/** How kafkajs' connections behave when they are cut, or answered by who speaks no Kafka: see kafkajs-mends.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after, before, type TestContext, test } from "node:test";
import { openClient } from "../../../src/brokers/kafka/client.ts";
import { keptLog } from "../../http/log.ts";
import { type SharedKafka, sharedKafka } from "../shared.ts";

let kafka: SharedKafka;
before(async () => {
  kafka = await sharedKafka();
});
after(() => kafka.close());

/** A broker whose nth connection is served by the nth of `behaviours`, the last of them also for all that follow. */
async function broker(t: TestContext, ...behaviours: ((socket: Socket) => void)[]) {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    behaviours[Math.min(connections++, behaviours.length - 1)]?.(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(async () => {
    for (const socket of open) socket.destroy();
    server.close();
    await once(server, "close");
  });
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address, connections: () => connections };
}

const answering = (bytes: Buffer, then: (socket: Socket) => void) => (socket: Socket) => {
  socket.once("data", () => socket.write(bytes, () => then(socket)));
};

function real(socket: Socket): void {
  const upstream = connect(kafka.port, "127.0.0.1");
  upstream.on("error", () => socket.destroy());
  upstream.on("close", () => socket.destroy());
  socket.on("close", () => upstream.destroy());
  socket.pipe(upstream).pipe(socket);
}

const connection = (address: string) => ({ brokers: [address], client_id: "leat", tls: false });

test("a connection that was cut within a response reads the next one's responses from their beginning", async (t) => {
  const cut = answering(Buffer.from([0, 0, 1, 0, 0, 0]), (socket) => socket.resetAndDestroy());
  const { address, connections } = await broker(t, cut, real);
  const client = openClient(connection(address), { log: keptLog().log });
  t.after(() => client.destroy());
  const admin = client.kafka.admin();
  await admin.connect();
  assert.equal((await admin.describeCluster()).brokers.length, 1);
  await admin.disconnect();
  assert.ok(connections() >= 2);
});

test("an answer that is no Kafka ends the connection and nothing else", async (t) => {
  // Two bytes long, where the number of the request it answers takes four.
  const { address } = await broker(
    t,
    answering(Buffer.from([0, 0, 0, 2, 1, 1]), () => {}),
  );
  const client = openClient(connection(address), { log: keptLog().log, retries: 0 });
  t.after(() => client.destroy());
  await assert.rejects(() => client.kafka.admin().connect());
});

test("a connection that is cut within its SASL handshake fails, and doesn't wait", async (t) => {
  let requests = 0;
  const { address } = await broker(t, (socket) => {
    const upstream = connect(kafka.port, "127.0.0.1");
    upstream.on("error", () => {});
    socket.on("close", () => upstream.destroy());
    upstream.pipe(socket, { end: false });
    socket.on("data", (request) => {
      // ApiVersions is answered by a real broker; SaslHandshake as if it knew PLAIN; the password by a reset.
      requests++;
      if (requests === 1) upstream.write(request);
      else if (requests === 2) socket.write(handshakeAnswer(request));
      else socket.resetAndDestroy();
    });
  });
  const client = openClient(
    { ...connection(address), sasl: { type: "plain" as const, user: "leat", password: "secret" } },
    { log: keptLog().log, retries: 0 },
  );
  t.after(() => client.destroy());
  await assert.rejects(() => client.kafka.admin().connect());
  assert.equal(requests, 3);
});

/** No error, and PLAIN as the one mechanism; with the correlation id of the request. */
function handshakeAnswer(request: Buffer): Buffer {
  const mechanism = Buffer.from("PLAIN");
  const answer = Buffer.alloc(4 + 4 + 2 + 4 + 2 + mechanism.length);
  answer.writeInt32BE(answer.length - 4, 0);
  request.copy(answer, 4, 8, 12);
  answer.writeInt32BE(1, 10);
  answer.writeInt16BE(mechanism.length, 14);
  mechanism.copy(answer, 16);
  return answer;
}
