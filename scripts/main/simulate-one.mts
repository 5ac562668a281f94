/** One simulated run, with an eye on what it leaves behind. */

import { setImmediate } from "node:timers/promises";
import { messageOf } from "../../src/errors.ts";
import { type SimulationOptions, type SimulationResult, simulate } from "../../src/testing/index.ts";

let rejection: { readonly reason: unknown } | null = null;
process.on("unhandledRejection", (reason) => {
  rejection ??= { reason };
});

/** Like `simulate`; but a rejected promise that nobody asked after, which would end a real process, is a breach. */
export async function simulateOne(options: SimulationOptions): Promise<SimulationResult> {
  rejection = null;
  const result = await simulate(options);
  await setImmediate(); // Only then are they told.
  // Another function may have set it, which the compiler can't see.
  const left = rejection as { readonly reason: unknown } | null;
  if (left === null || result.breach !== null) return result;
  const stack = left.reason instanceof Error ? left.reason.stack : undefined;
  const detail = `a promise was rejected, and nobody had asked after it: ${stack ?? messageOf(left.reason)}`;
  return {
    ...result,
    breach: { invariant: "process-lives", detail, atMs: result.virtualMs, event: result.events },
  };
}
