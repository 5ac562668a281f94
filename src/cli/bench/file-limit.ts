/** How many files, and so connections, a process may have open. */

import { execFileSync } from "node:child_process";

/** The most that a process can allow itself, as runtimes do when they start; infinite where nobody counts. */
export function openFilesMax(): number {
  if (process.platform === "win32") return Number.POSITIVE_INFINITY;
  const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return limit === "unlimited" ? Number.POSITIVE_INFINITY : Number(limit);
}
