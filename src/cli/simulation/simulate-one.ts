/** One simulated run, with an eye on what would end a real process. */

import { setImmediate } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import { type SimulationOptions, type SimulationResult, simulate } from "../../testing/index.ts";

/** Like `simulate`; but a rejected promise that nobody asked after is a breach. */
export async function simulateOne(options: SimulationOptions): Promise<SimulationResult> {
  const reasons: unknown[] = [];
  const note = (reason: unknown): void => void reasons.push(reason);
  process.on("unhandledRejection", note);
  try {
    // A runtime tells of them between its own events, of which there would be none without a pause.
    const pause = async (): Promise<void> => void (await setImmediate());
    const result = await simulate({ pause, ...options });
    await setImmediate();
    if (reasons.length === 0 || result.breach !== null) return result;
    const [reason] = reasons;
    const why = reason instanceof Error ? (reason.stack ?? reason.message) : messageOf(reason);
    const detail = `a promise was rejected, and nobody had asked after it: ${why}`;
    return { ...result, breach: { invariant: "process-lives", detail, atMs: result.virtualMs, event: result.events } };
  } finally {
    process.off("unhandledRejection", note);
  }
}
