/** A pause between two tries. */

import type { ClientEnvironment } from "../environment.ts";

/** @throws the signal's reason, at once, when it fires */
export async function pause({ clock }: ClientEnvironment, delayMs: number, ended: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      timer.cancel();
      ended.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    ended.addEventListener("abort", done);
    if (ended.aborted) done();
  });
  ended.throwIfAborted();
}
