/** Certificates for the tests, made anew: one that is kept expires. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** Where they lie until the test ends: `cert.pem`, `key.pem`. */
  readonly folder: string;
}

const P256 = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
export const RSA_512: readonly string[] = ["rsa:512"];

/** For `localhost`, by itself, with a key of this kind. */
export function certificate(t: TestContext, kind: readonly string[] = P256): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "leat-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const request = ["req", "-x509", "-newkey", ...kind, "-nodes", "-days", "2"];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  execFileSync("openssl", [...request, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8"), folder };
}
