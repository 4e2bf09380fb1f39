import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { tlsProblems } from "../../../src/brokers/tls-material.ts";
import { readConfiguration } from "../../../src/commands/configuration.ts";
import { formatProblem } from "../../../src/config/load.ts";
import { certificate, RSA_512 } from "./certificate.ts";
import { webhook } from "./kit.ts";

/** `ca: holds no certificate …` for each. */
function said(material: Parameters<typeof tlsProblems>[0]): string[] {
  return tlsProblems(material).map(({ field, message }) => `${field}: ${message}`);
}

test("certificates, bundles of them and their keys are fine, with any lines' ends and text between", (t) => {
  const { cert, key } = certificate(t);
  const other = certificate(t);
  assert.deepEqual(said({ ca: cert, cert, key }), []);
  assert.deepEqual(said({ ca: `subject=CN one\n${cert}\nsubject=CN two\n${other.cert}` }), []);
  assert.deepEqual(said({ cert: cert.trimEnd(), key: key.trimEnd() }), []);
  assert.deepEqual(said({ cert: cert.replaceAll("\n", "\r\n"), key: key.replaceAll("\n", "\r\n") }), []);
  assert.deepEqual(said({}), []);
});

test("what holds no certificate, or a broken one among good ones, is no certificate", (t) => {
  const { cert, key } = certificate(t);
  const none = "holds no certificate that can be read";
  const broken = cert.replace(/^[^-].{20}/m, (line) => line.toUpperCase());
  for (const text of ["no", key, broken, `${cert}${broken}`, cert.slice(0, 200)]) {
    assert.deepEqual(said({ ca: text }), [`ca: ${none}`]);
    assert.deepEqual(said({ cert: text, key }), [`cert: ${none}`]);
  }
});

test("a key must be one, in the clear, and the certificate's own", (t) => {
  const { cert, key } = certificate(t);
  const other = certificate(t);
  assert.deepEqual(said({ cert, key: other.key }), ["key: is not the key of the certificate"]);
  assert.deepEqual(said({ cert, key: cert }), ["key: is no private key that can be read"]);
  assert.deepEqual(said({ cert, key: key.slice(0, 80) }), ["key: is no private key that can be read"]);
  const format = { format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "secret" } as const;
  const encrypted = createPrivateKey(key).export(format).toString();
  assert.deepEqual(said({ cert, key: encrypted }), ["key: is encrypted"]);
});

test("a key that TLS finds too short is refused with TLS's own word for it", (t) => {
  const { cert, key } = certificate(t, RSA_512);
  assert.deepEqual(said({ cert, key }), ["cert: is refused by TLS (ERR_SSL_EE_KEY_TOO_SMALL)"]);
});

test("certificates come from files beside the configuration; what passes validate makes a sink", async (t) => {
  const { folder, cert } = certificate(t);
  const path = join(folder, "leat.yaml");
  const yaml = (key: string) => `
sources: { in: { type: webhook, path: /in, verify: { type: none } } }
sinks:
  out:
    type: webhook
    url: https://a.example/
    tls: { ca: "\${file:cert.pem}", cert: "\${file:cert.pem}", key: "\${file:${key}}" }
routes: { all: { from: in, to: out } }
`;
  writeFileSync(path, yaml("key.pem"));
  const good = readConfiguration([path], { env: {} });
  assert.ok(good.ok, JSON.stringify(good));
  const { tls } = good.plan.sinks[0]!.config as { tls: { ca: string } };
  assert.equal(tls.ca, cert.trimEnd());
  await webhook(t, { url: "https://a.example/", tls });

  writeFileSync(path, yaml("cert.pem"));
  const bad = readConfiguration([path], { env: {} });
  assert.ok(!bad.ok);
  const lines = bad.problems.map(formatProblem).join("\n");
  assert.match(
    lines,
    /leat\.yaml:7:\d+: sinks\.out\.tls\.key: is no private key that can be read; give it as PEM/,
  );
  const checked = readConfiguration([path], { env: {}, readEnv: false });
  assert.ok(checked.ok, "without the files nothing is known of what is in them");
});
