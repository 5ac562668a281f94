/** Callers who ask as fast as they are answered. */

import type { Crew, Figures, News } from "../job.ts";
import { percentile, rounded, Samples } from "../samples.ts";

/** What a load process tells the benchmark with. */
export type Tell = (news: News) => void;

const PROGRESS_EVERY_MS = 500;

export interface DriveOptions extends Crew {
  /** Asks something over one of the connections; resolves with the answer. */
  readonly call: (connection: number) => Promise<void>;
  /** Is there to be another call? */
  readonly goesOn: (nowMs: number) => boolean;
  /** After every answer. */
  readonly onAnswer?: () => void;
}

/** Each caller waits for the answer before it asks again, until none is to go on. */
export async function drive({ connections, outstanding, call, goesOn, onAnswer }: DriveOptions): Promise<Figures> {
  const timesMs = new Samples();
  const startMs = performance.now();
  const caller = async (connection: number): Promise<void> => {
    for (let askedMs = performance.now(); goesOn(askedMs); ) {
      await call(connection);
      const answeredMs = performance.now();
      timesMs.add(answeredMs - askedMs);
      onAnswer?.();
      askedMs = answeredMs;
    }
  };
  await Promise.all(Array.from({ length: connections * outstanding }, (_, i) => caller(i % connections)));
  const seconds = (performance.now() - startMs) / 1_000;
  const sorted = timesMs.sorted();
  return {
    ops: Math.round(timesMs.count / seconds),
    p50_ms: rounded(percentile(sorted, 0.5)),
    p99_ms: rounded(percentile(sorted, 0.99)),
  };
}

/** Tells now and then how many calls were answered: to be called at each of them. */
export function teller(tell: Tell): () => void {
  let done = 0;
  let toldMs = performance.now();
  return () => {
    done++;
    const nowMs = performance.now();
    if (nowMs - toldMs < PROGRESS_EVERY_MS) return;
    toldMs = nowMs;
    tell({ type: "progress", done });
  };
}
