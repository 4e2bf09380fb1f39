/** Streams of lines through a real nginx: as docs/streaming.md sets it up, and by mutual TLS that ends there. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientRequest, request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { type TestContext, test } from "node:test";
import { type Certificates, makeCertificates } from "../brokers/certificates.ts";
import { startNginx } from "../nginx.ts";
import { runLines } from "../sources/webhook/lines/run-lines.ts";
import { waitFor } from "../wait-for.ts";

/** What docs/streaming.md says. */
const STREAMING = "proxy_http_version 1.1; proxy_request_buffering off; client_max_body_size 0;";

function answerOf(request: ClientRequest): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    request.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
  });
}

test("lines come through nginx as they are sent, and so does the answer when the source stops", async (t) => {
  const { url, host, stop } = await runLines(t);
  const { port } = await startNginx(t, (own) => {
    return `listen 127.0.0.1:${own}; location / { proxy_pass ${new URL(url).origin}; ${STREAMING} }`;
  });
  const request = httpRequest(`http://127.0.0.1:${port}/lines`, {
    method: "POST",
    headers: { authorization: "Bearer tok", "leat-request-id": "through" },
  });
  t.after(() => request.destroy());
  const answer = answerOf(request);
  request.write("one\n");
  await waitFor("the first line", () => host.lines.length === 1);
  request.write("two\n");
  await waitFor("the second line", () => host.lines.length === 2);
  await stop();
  const { status, text } = await answer;
  assert.equal(status, 503);
  assert.equal((JSON.parse(text) as { last: number }).last, 2);
});

test("a producer that nginx loses is an abort", async (t) => {
  const { url, host } = await runLines(t);
  const { port } = await startNginx(t, (own) => {
    return `listen 127.0.0.1:${own}; location / { proxy_pass ${new URL(url).origin}; ${STREAMING} }`;
  });
  const request = httpRequest(`http://127.0.0.1:${port}/lines`, {
    method: "POST",
    headers: { authorization: "Bearer tok", "leat-request-id": "lost" },
  });
  request.on("error", () => {});
  request.write("one\n");
  await waitFor("the line", () => host.lines.length === 1);
  request.destroy();
  await waitFor("the abort", () => host.ends.length === 1);
  assert.deepEqual(host.ends[0]?.said, { stream: "lost", last: 1, reason: "closed" });
});

test("a proxy that cuts what is silent leaves a stream alone that sends empty lines, and one that it cuts resumes", async (t) => {
  const { url, host } = await runLines(t);
  const { port } = await startNginx(t, (own) => {
    const silent = "client_body_timeout 1s; proxy_read_timeout 1s; proxy_send_timeout 1s;";
    return `listen 127.0.0.1:${own}; location / { proxy_pass ${new URL(url).origin}; ${STREAMING} ${silent} }`;
  });
  const begin = () => {
    const request = httpRequest(`http://127.0.0.1:${port}/lines`, {
      method: "POST",
      headers: { authorization: "Bearer tok", "leat-request-id": "slow" },
    });
    t.after(() => request.destroy());
    const answer = answerOf(request);
    answer.catch(() => {});
    return { request, answer };
  };
  const kept = begin();
  kept.request.write("one\n");
  const beat = setInterval(() => kept.request.write("\n"), 200);
  t.after(() => clearInterval(beat));
  const until = performance.now() + 3000;
  await waitFor("three times its patience", () => performance.now() > until);
  kept.request.write("two\n");
  await waitFor("the line after that", () => host.lines.length === 2);
  clearInterval(beat);
  await waitFor("nginx to cut what is silent now", () => host.ends.length === 1);
  assert.deepEqual(host.ends[0]?.said, { stream: "slow", last: 2, reason: "closed" });

  const again = begin();
  again.request.end("one\ntwo\nthree\n");
  assert.equal((await again.answer).status, 200);
  assert.deepEqual(host.lines, ["one", "two", "three"]);
});

test("lines come over HTTP/2 too, through nginx", async (t) => {
  const { url, host } = await runLines(t);
  let ca = "";
  const { port } = await startNginx(t, (own, folder) => {
    const made = makeCertificates(folder);
    ca = readFileSync(made.ca, "utf8");
    return `listen 127.0.0.1:${own} ssl http2;
      ssl_certificate ${made.server.cert}; ssl_certificate_key ${made.server.key};
      location / { proxy_pass ${new URL(url).origin}; ${STREAMING} }`;
  });
  const session = connectHttp2(`https://localhost:${port}`, { ca });
  t.after(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": "/lines", authorization: "Bearer tok" });
  stream.write("one\n");
  await waitFor("the first line", () => host.lines.length === 1);
  stream.end("two\n");
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  assert.equal(headers[":status"], 200);
  assert.equal(headers["leat-last"], "2");
  stream.resume();
});

async function postWith(
  t: TestContext,
  port: number,
  certificates: Certificates,
  client: { cert: Buffer; key: Buffer } | object,
): Promise<number> {
  const request = httpsRequest(`https://localhost:${port}/lines`, {
    method: "POST",
    ca: readFileSync(certificates.ca),
    // A stranger's try at the token that only the proxy may add.
    headers: { authorization: "Bearer guessed" },
    ...client,
    agent: false,
  });
  t.after(() => request.destroy());
  const answer = answerOf(request);
  request.end("one\n");
  return (await answer).status;
}

test("mutual TLS ends at the proxy, which shows the source who it is by a token", async (t) => {
  const { url, host } = await runLines(t);
  let made: Certificates | null = null;
  const { port } = await startNginx(t, (own, folder) => {
    made = makeCertificates(folder);
    return `listen 127.0.0.1:${own} ssl;
      ssl_certificate ${made.server.cert}; ssl_certificate_key ${made.server.key};
      ssl_client_certificate ${made.ca}; ssl_verify_client on;
      location / {
        proxy_pass ${new URL(url).origin}; ${STREAMING}
        proxy_set_header authorization "Bearer tok";
      }`;
  });
  const certificates = made as unknown as Certificates;
  const client = {
    cert: readFileSync(certificates.client.cert),
    key: readFileSync(certificates.client.key),
  };
  assert.equal(await postWith(t, port, certificates, {}), 400, "nginx's own: no certificate was sent");
  assert.deepEqual(host.lines, []);
  assert.equal(await postWith(t, port, certificates, client), 200);
  assert.deepEqual(host.lines, ["one"]);
});
