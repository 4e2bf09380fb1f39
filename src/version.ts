/** Leat's own version, from package.json: read at run time, as `dist/` and `src/` both lie beside it. */
import { readFileSync } from "node:fs";

const packageJson = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  readonly version: string;
};

export const version: string = packageJson.version;
