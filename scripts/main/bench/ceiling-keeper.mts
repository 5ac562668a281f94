/**
 * Runs the ceiling, and ends it with all of its children when this process is told to stop or the benchmark is gone: the
 * ceiling itself is nobody's child who would look after that.
 */

import { spawn } from "node:child_process";
import { runtimeArguments } from "../child.mts";
import { onStop, stopCode } from "../process.mts";

// In a group of its own, so that all of it can be ended.
const ceiling = spawn(process.execPath, [...runtimeArguments, ...process.argv.slice(2)], {
  detached: true,
  stdio: ["ignore", "inherit", "inherit"],
});

function endAll(): void {
  try {
    if (ceiling.pid !== undefined) process.kill(-ceiling.pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

onStop((reason) => {
  endAll();
  process.exit(stopCode(reason));
});
ceiling.once("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
ceiling.once("close", (code) => {
  endAll();
  process.exit(code ?? 1);
});
