/** A daemon whose wall clock a test can step: Debian's libfaketime, preloaded. Its monotonic clock goes on as it is. */
import { globSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where the library is; undefined where it isn't installed. */
export function libfaketime(): string | undefined {
  return globSync("/usr/lib/*/faketime/libfaketimeMT.so.1")[0];
}

export interface FakeTime {
  /** For the daemon's process. */
  readonly env: Record<string, string>;
  /** The present step, in ms. */
  readonly offset: number;
  /** Sets how far its wall clock is off from now on, in ms; it looks once a second. */
  step(offset: number): void;
  remove(): void;
}

export function makeFakeTime(): FakeTime {
  const library = libfaketime();
  if (library === undefined)
    throw new Error("The clock's runs need libfaketime: `apt-get install libfaketime`.");
  const folder = mkdtempSync(join(tmpdir(), "leat-faketime-"));
  const file = join(folder, "offset");
  let offset = 0;
  const step = (ms: number) => {
    offset = ms;
    // By rename: it must never be read half written.
    writeFileSync(`${file}.new`, `${ms < 0 ? "-" : "+"}${Math.abs(ms) / 1000}\n`);
    renameSync(`${file}.new`, file);
  };
  step(0);
  return {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    },
    get offset() {
      return offset;
    },
    step,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
