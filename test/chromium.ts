import { type Browser, chromium } from "playwright-core";

/** Where the browser for tests is: Debian's package, unless LEAT_CHROMIUM names another. */
export const CHROMIUM = process.env.LEAT_CHROMIUM ?? "/usr/bin/chromium";

/** A real, headless Chromium that talks to nobody but us; close it. `more`: further arguments of its command line. */
export function launchChromium(...more: readonly string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...more,
    ],
  });
}
