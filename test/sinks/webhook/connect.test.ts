import assert from "node:assert/strict";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { addressRule, parseCidr } from "../../../src/sinks/webhook/addresses.ts";
import { certificate } from "./certificate.ts";
import { deliver, receiver, webhook } from "./kit.ts";

async function httpsReceiver(t: TestContext, options: object): Promise<{ port: number; peers: string[] }> {
  const peers: string[] = [];
  const server = createServer(options, (request, response) => {
    peers.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? "nobody"));
    request.resume().on("end", () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, peers };
}

test("a certificate that nobody vouches for is a failure, until `ca` does or `insecure` is written", async (t) => {
  const { cert, key } = certificate(t);
  const { port } = await httpsReceiver(t, { cert, key });
  const url = `https://localhost:${port}/`;
  const report = await deliver(await webhook(t, { url }));
  assert.equal(report.result === "failed" && report.error, "tls");
  assert.equal((await deliver(await webhook(t, { url, tls: { ca: cert } }))).result, "delivered");
  assert.equal((await deliver(await webhook(t, { url, tls: { insecure: true } }))).result, "delivered");
});

test("the certificate's name must be the host's, or what `servername` says", async (t) => {
  const { cert, key } = certificate(t);
  const { port } = await httpsReceiver(t, { cert, key });
  const url = `https://127.0.0.1:${port}/`;
  const report = await deliver(await webhook(t, { url, tls: { ca: cert } }));
  assert.equal(report.result === "failed" && report.error, "tls");
  const named = await webhook(t, { url, tls: { ca: cert, servername: "localhost" } });
  assert.equal((await deliver(named)).result, "delivered");
});

test("our own certificate is shown to a receiver that asks for one", async (t) => {
  const { cert, key } = certificate(t);
  const { port, peers } = await httpsReceiver(t, {
    cert,
    key,
    ca: cert,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const url = `https://localhost:${port}/`;
  assert.equal((await deliver(await webhook(t, { url, tls: { ca: cert, cert, key } }))).result, "delivered");
  assert.deepEqual(peers, ["localhost"]);
  assert.equal((await deliver(await webhook(t, { url, tls: { ca: cert } }))).result, "failed");
});

test("speaking TLS to a receiver that doesn't is a tls failure", async (t) => {
  const { url } = await receiver(t);
  const report = await deliver(await webhook(t, { url: url.replace("http:", "https:") }));
  assert.equal(report.result === "failed" && report.error, "tls");
});

test("denied addresses aren't connected to in any spelling, nor by a name that leads there", async (t) => {
  const { url, received } = await receiver(t);
  const port = new URL(url).port;
  const addresses = { deny: "private" };
  for (const host of [
    "127.0.0.1",
    "localhost",
    "0x7f000001",
    "2130706433",
    "127.1",
    "0177.0.0.1",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[fd00:ec2::254]",
    "169.254.169.254",
    "10.1.2.3",
  ]) {
    const sink = await webhook(t, { url: `http://${host}:${port}/`, addresses });
    const report = await deliver(sink, {}, 2000);
    assert.equal(report.result === "failed" && report.error, "address_denied", host);
  }
  assert.equal(received.length, 0);
});

test("what `allow` names is fine although denied, and without `addresses` everything is", async (t) => {
  const { url, received } = await receiver(t);
  const byName = url.replace("127.0.0.1", "localhost");
  const sink = await webhook(t, { url, addresses: { deny: "private", allow: "127.0.0.0/8" } });
  assert.equal((await deliver(sink)).result, "delivered");
  const named = await webhook(t, {
    url: byName,
    addresses: { deny: "private", allow: ["127.0.0.1", "::1"] },
  });
  assert.equal((await deliver(named)).result, "delivered");
  const listed = await webhook(t, { url, addresses: { deny: ["192.168.0.0/16"] } });
  assert.equal((await deliver(listed)).result, "delivered");
  assert.equal((await deliver(await webhook(t, { url }))).result, "delivered");
  assert.equal(received.length, 4);
});

test("networks are read as they are, and nothing else", () => {
  for (const written of ["10.0.0.0/8", "10.1.2.3", "::1", "fd00::/8", "0.0.0.0/0"]) {
    assert.notEqual(parseCidr(written), null, written);
  }
  for (const written of [
    "",
    "10.0.0.0/33",
    "10.0.0/8",
    "::/129",
    "example.com",
    "10.0.0.0/8/8",
    "10.0.0.0/x",
    "1.2.3.4/",
  ]) {
    assert.equal(parseCidr(written), null, written);
  }
  const denied = addressRule({ deny: "private" });
  for (const address of ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
    assert.equal(denied(address), false, address);
  for (const address of ["::ffff:10.0.0.1", "100.64.0.1", "fe80::1", "no address"])
    assert.equal(denied(address), true, address);
});
