/**
 * Runs the ceiling, and ends it with all of its children when this process is told to stop or the benchmark is gone: the
 * ceiling itself is nobody's child who would look after that.
 */

import { spawn } from "node:child_process";
import type { Call } from "../call.ts";
import { runtimeArguments } from "../child.ts";
import { onStop, stopCode } from "../process.ts";

/** Its arguments are the ceiling's file, and what that is told. */
export async function run({ args }: Call): Promise<void> {
  // In a group of its own, so that all of it can be ended.
  const ceiling = spawn(process.execPath, [...runtimeArguments, ...args], {
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
  });
  const endAll = (): void => {
    try {
      if (ceiling.pid !== undefined) process.kill(-ceiling.pid, "SIGKILL");
    } catch {
      // Nothing of it is left.
    }
  };
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
}
