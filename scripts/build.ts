/** `npm run build`: what is published. tsc makes `dist/`; the page's static files and the client's one file go beside it. */
import { chmodSync, cpSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundleClient, tsc } from "./client.ts";

const root = resolve(import.meta.dirname, "..");
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
tsc("-p", "tsconfig.build.json");
tsc("-p", "tsconfig.client.json");
writeFileSync(join(dist, "client/leat-client.js"), bundleClient());
cpSync(join(root, "src/console/page"), join(dist, "console/page"), { recursive: true });
chmodSync(join(dist, "main.js"), 0o755);
