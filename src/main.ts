#!/usr/bin/env node
/**
 * The command line: checks the version of Node, then hands over to commands/. The check comes before any other import,
 * as an older Node fails at importing what it lacks (`node:sqlite`), with an error that helps nobody.
 */

/** 24.15 is the first LTS whose node:sqlite has what the journal needs. */
const NEEDED = [24, 15] as const;

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  const fitting = import.meta.url.endsWith(".ts")
    ? "In a clone, ./setup brings a fitting one: run `npx node src/main.ts …` or `npm start`."
    : "npm has brought a fitting one along: run `npx leat …` where Leat is installed, or install Node anew.";
  process.stderr.write(
    `leat: this is Node ${process.versions.node}, and Leat needs ${NEEDED.join(".")} or later.\n  ${fitting}\n`,
  );
  process.exit(1);
}

// Half of a start is compiling. What was compiled is kept beside the code, where only who may write that may write, and
// goes with it; where it can't be kept (a read-only file system) the start is slower, no more. `node --help` tells how
// NODE_COMPILE_CACHE names another folder, also for the threads.
const { enableCompileCache } = await import("node:module");
const { join } = await import("node:path");
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, "..", "node_modules", ".cache", "leat-compiled");
enableCompileCache(process.env.NODE_COMPILE_CACHE);

// Loading takes its time, in which a service manager's signal may come.
if (process.argv[2] === "run") {
  const { watchStart } = await import("./commands/start-signals.ts");
  watchStart();
}
const { main } = await import("./commands/program.ts");
await main(process.argv);

export {};
