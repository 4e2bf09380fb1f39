import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { required } from "./programs.ts";

/** Files in PEM, all signed by `ca`. The server's names are localhost and 127.0.0.1; the client's is `CN=client`. */
export interface Certificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes an authority of its own and what it signs, in `folder`; valid for two days. */
export function makeCertificates(folder: string): Certificates {
  const openssl = required("openssl");
  const run = (args: string[]) => execFileSync(openssl, args, { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  run(["req", "-x509", ...key, "-subj", "/CN=leat test authority", "-keyout", "ca.key", "-out", "ca.pem"]);
  const sign = (name: string, subject: string, extensions: string) => {
    writeFileSync(join(folder, `${name}.ext`), extensions);
    run(["req", ...key.slice(0, -2), "-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`]);
    const from = ["-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    run(["x509", "-req", ...from, "-days", "2", "-extfile", `${name}.ext`, "-out", `${name}.pem`]);
    return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  };
  return {
    ca: join(folder, "ca.pem"),
    server: sign("server", "/CN=localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1\n"),
    client: sign("client", "/CN=client", "extendedKeyUsage=clientAuth\n"),
  };
}

/** A key and its chain in one file, as Java's PEM key stores want it. */
export function keyAndChain(folder: string, of: { cert: string; key: string }, ca: string): string {
  const file = join(folder, "key-and-chain.pem");
  writeFileSync(file, [of.key, of.cert, ca].map((part) => readFileSync(part, "utf8")).join(""));
  return file;
}
