// @ts-check
/**
 * Runs a script on a runtime that understands TypeScript. Node from 22.18 on, Deno and Bun do; an older Node hands
 * over to the one that `npm ci` put into node_modules.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as module from "node:module";
import * as os from "node:os";
import * as path from "node:path";

const runsTypeScript = "Deno" in globalThis || "Bun" in globalThis || Boolean(process.features.typescript);

/**
 * Runs a command of the command line under the name of a script.
 *
 * @param {string} script the script that was started
 * @param {string} command the command that it stands for
 * @returns {Promise<void>}
 */
export const runCommand = (script, command) =>
  handOver(script, async () => {
    const { runAsScript } = await import("../src/cli/command-line.ts");
    await runAsScript(command, script, process.argv.slice(2));
  });

/**
 * @param {string} script the script that was started
 * @param {() => Promise<unknown>} load loads what it stands for, here
 * @returns {Promise<void>}
 */
export async function handOver(script, load) {
  const packages = path.join(import.meta.dirname ?? path.dirname(script), "..", "node_modules");
  if (runsTypeScript) {
    // What was compiled once is found again by the next process: most of the time that a script takes to start.
    module.enableCompileCache?.(path.join(packages, ".cache", "conclave"));
    await load();
    module.flushCompileCache?.();
    return;
  }
  const node = path.join(packages, ".bin", "node");
  if (!existsSync(node)) {
    console.error(
      `Node ${process.versions.node} can't run TypeScript. Run "npm ci" here to install one that can, or use Node 22.18 or later.`,
    );
    process.exit(1);
  }
  // The channel tells the other process when this one is gone, however it ended.
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: ["inherit", "inherit", "inherit", "ipc"] });
  // Ctrl-C reaches both; the child decides what to do about it. The others have to be passed on.
  process.on("SIGINT", () => {});
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"])) process.on(signal, () => child.kill(signal));
  child.once("error", (error) => {
    console.error(`${node} can't be run: ${error.message}`);
    process.exit(1);
  });
  child.once("exit", (code, signal) => {
    process.exit(signal === null ? (code ?? 1) : 128 + os.constants.signals[signal]);
  });
}
