/** A browser for tests: the one that the system has. */

import { existsSync } from "node:fs";
import * as path from "node:path";
import type { Browser } from "playwright-core";

/** Where Debian and others put it. */
const executable = (process.env["PATH"] ?? "")
  .split(path.delimiter)
  .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => path.join(folder, name)))
  .find((file) => existsSync(file));

/** Why no page is tried here; null if one can be. */
export const NO_BROWSER = executable === undefined ? 'no Chromium is here: "apt-get install chromium"' : null;

/** A Chromium that is closed afterwards. */
export async function withBrowser(body: (browser: Browser) => Promise<void>): Promise<void> {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: executable ?? "",
    args: ["--disable-dev-shm-usage"],
  });
  try {
    await body(browser);
  } finally {
    await browser.close();
  }
}
