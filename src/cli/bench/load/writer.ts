/** One caller who writes all the time, and notes how long it was held up. */

import type { Client } from "../../../client/index.ts";
import type { Order, WriterJob } from "../job.ts";
import { rounded } from "../samples.ts";
import type { Tell } from "./drive.ts";
import { Writers } from "./writers.ts";

/**
 * Writes until it is told to end.
 *
 * @param heed calls the listener at every order
 * @throws Failure, ConclaveError
 */
export async function runWriter(
  client: Client,
  job: WriterJob,
  tell: Tell,
  heed: (listener: (order: Order) => void) => void,
): Promise<void> {
  const writers = new Writers({ ...job, clients: [client] });
  await writers.open();
  let isOver = false;
  let laps = 0;
  let longestMs = 0;
  let answeredMs = performance.now();
  heed(({ type }) => {
    if (type === "lap") laps++;
    else isOver = true;
  });
  tell({ type: "ready" });
  while (!isOver) {
    await writers.put(0);
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - answeredMs);
    answeredMs = nowMs;
    for (; laps > 0; laps--) {
      tell({ type: "lap", pauseMs: rounded(longestMs) });
      longestMs = 0;
    }
  }
  await writers.check();
}
