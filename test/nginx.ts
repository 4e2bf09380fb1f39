/** A real nginx in front of something, with a folder, a port and a configuration of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { brokerPort } from "./brokers/port.ts";
import { required } from "./brokers/programs.ts";
import { waitFor } from "./wait-for.ts";

export interface Nginx {
  readonly port: number;
  readonly folder: string;
}

/**
 * `server` is what stands in `server { … }`, its `listen` included. The folder is there before it is asked for, so that
 * certificates can be made in it. Ends with the test.
 */
export async function startNginx(
  t: TestContext,
  server: (port: number, folder: string) => string,
): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "leat-nginx-"));
  const port = await brokerPort();
  for (const name of ["body", "proxy", "fastcgi", "uwsgi", "scgi"]) mkdirSync(join(folder, name));
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => {
    return `${name}_temp_path ${join(folder, name.replace("client_", ""))};`;
  });
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${join(folder, "pid")}; error_log stderr warn;\n` +
      `events { worker_connections 1000; }\n` +
      `http { access_log off; ${paths.join(" ")}\nserver {\n${server(port, folder)}\n}\n}\n`,
  );
  let printed = "";
  const child: ChildProcess = spawn(required("nginx"), ["-p", folder, "-c", file], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr?.on("data", (chunk) => (printed += chunk));
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    rmSync(folder, { recursive: true, force: true });
  });
  await waitFor("nginx to listen", async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${printed}`);
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } finally {
      socket.destroy();
    }
  });
  return { port, folder };
}
